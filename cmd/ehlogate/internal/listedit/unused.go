package listedit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/uselog"
)

// EachUnused calls each for the entries of a list of the operator's own, or of all of them if the name is "", that matched no
// session for so many days, by what the daemon counted. note says what is not known yet; "": all is.
func (e *Editor) EachUnused(list string, days int, each func(*Entry) error) (note string, err error) {
	uses, err := e.readUses()
	if err != nil {
		return "", err
	}
	chosen, err := e.chooseLists(list)
	if err != nil {
		return "", err
	}
	if list != "" && !IsOwn(chosen[0]) {
		return "", fmt.Errorf("list %q is a feed: uses are counted of the entries of your own lists alone", list)
	}
	counted, today := 0, uselog.DayOf(e.Clock())
	for _, l := range chosen {
		if !IsOwn(l) {
			continue
		}
		of := uses.Of(l.Name)
		if len(of) == 0 {
			if list != "" {
				return "", fmt.Errorf("list %q is not counted: it is new, is empty, or has more than %d entries", list, uselog.MaxEntries)
			}
			continue
		}
		if err := e.scan(l, func(entry Entry, it *iptable.Item) error {
			use, ok := of[listfile.UseKey(it)]
			if !ok || entry.Expired {
				return nil
			}
			counted = max(counted, int(today)-int(use.Since))
			entry.NeverMatched = use.Last == 0
			if entry.UnusedDays = int(today) - int(max(use.Last, use.Since)); entry.UnusedDays < days {
				return nil
			}
			return each(&entry)
		}); err != nil {
			return "", err
		}
	}
	if counted < days {
		return fmt.Sprintf("entries have been counted for %s, and are shown once they were not used for %d: --days sets another number", plural(counted, "day", "days"), days), nil
	}
	return "", nil
}

func (e *Editor) readUses() (*state.Uses, error) {
	path := e.Config.Edits.Used
	if path == "" {
		return nil, errors.New(`nothing is counted: the config has used = "" in [edits]`)
	}
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the daemon cannot write %s: make the directory, or write another path into [edits] used of the config", err, path)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the daemon writes it ten minutes after it started, and when it stops", err)
	}
	uses, err := state.ReadUses(path, e.Clock())
	return uses, explainAccess(err)
}
