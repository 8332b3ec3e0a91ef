package mtatest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ehlogate/lists/test/testenv"
)

// mailbox is the maildir into which a server delivers.
type mailbox struct {
	path string
	log  *Log // of the server
}

// makeMaildir makes the maildir for a user.
func (m mailbox) makeMaildir(as owner) error {
	for _, name := range []string{"", "tmp", "cur", "new"} {
		dir := filepath.Join(m.path, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making a maildir: %w", err)
		}
		if err := os.Chown(dir, as.uid, as.gid); err != nil {
			return fmt.Errorf("giving the maildir to its user: %w", err)
		}
	}
	return nil
}

// Mails returns the messages delivered so far.
func (m mailbox) Mails() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(m.path, "new", "*"))
	if err != nil {
		return nil, fmt.Errorf("reading the maildir: %w", err)
	}
	var mails []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the maildir: %w", err)
		}
		mails = append(mails, strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
	return mails, nil
}

// AwaitMail waits for a delivered message that matches re and returns it. An error carries the end of the log.
func (m mailbox) AwaitMail(ctx context.Context, re *regexp.Regexp) (string, error) {
	var mail string
	err := testenv.Await(ctx, func() (bool, error) {
		mails, err := m.Mails()
		i := slices.IndexFunc(mails, re.MatchString)
		if i >= 0 {
			mail = mails[i]
		}
		return i >= 0, err
	})
	if err != nil {
		return "", fmt.Errorf("waiting for a message that matches %q: %w\n%s", re, err, m.log.Tail(30))
	}
	return mail, nil
}
