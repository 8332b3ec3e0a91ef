// Package listedit changes the operator's own list files, line by line, and tells what that changes before it is written.
//
//	words of the operator -- Plan* --> Plan: hunks, effect, cautions -- Write --> file, journal
//
// A [Plan] is made from the files as they are, without a lock: an operator may think about it. [Plan.Write] locks the file,
// makes the change once more if the file is another one by then, checks it as the daemon would, notes it in the journal, and
// puts it in place. What decides the effect is what decides in the daemon: lists.Policy, by the lists on disk.
package listedit

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/printable"
)

// Editor plans changes of the lists of a config, for a user.
type Editor struct {
	Config *config.Config
	Clock  func() time.Time
	User   string
	File   string // of the list, for lists with several; "": choose
	Force  bool   // although an editor seems to have the file open
}

// FindUser returns the name of the user that runs this process, behind sudo or doas too.
func FindUser() string {
	name := ""
	if os.Geteuid() == 0 { // else any user can set them
		name = cmp.Or(os.Getenv("SUDO_USER"), os.Getenv("DOAS_USER"))
	}
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return printable.Shorten(printable.Escape(cmp.Or(name, "user "+strconv.Itoa(os.Geteuid()))), 64)
}

// Place returns file:line.
func Place(file string, line int) string { return fmt.Sprintf("%s:%d", printable.Escape(file), line) }
