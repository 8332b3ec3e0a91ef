package listedit

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// commandLine is in place of the file name of an entry that is in no file.
const commandLine = "ENTRY"

// ParseEntry returns an entry as an operator writes it on a command line: without until= and without a note.
func ParseEntry(word string) (iptable.Item, error) {
	if word == "" || !isOneWord(word) {
		return iptable.Item{}, fmt.Errorf("%q is not one entry: write an address, a network, a range, a host name or helo:NAME as one word, and the rest as --for, --until and --reason", word)
	}
	var item iptable.Item
	err := listfile.Parse(strings.NewReader(word+"\n"), commandLine, listfile.Rules{AnyAction: true}, func(it *listfile.Item) error {
		item = it.Item
		return nil
	})
	return item, err
}

// isOneWord reports whether a list file has a text as one word of a line, whatever it is.
func isOneWord(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r == '#' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

// ParseFor returns a time from now on, such as "4h", "7d" or "2w".
func ParseFor(text string) (time.Duration, error) {
	const hint = `write a number and a unit: "30m", "4h", "7d" or "2w"`
	units := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	if text == "" {
		return 0, errors.New("empty time: " + hint)
	}
	last := len(text) - 1
	n, err := strconv.Atoi(text[:last])
	unit := units[text[last:]]
	if err != nil || unit == 0 || n < 1 || n > int(100*365*24*time.Hour/unit) {
		return 0, fmt.Errorf("invalid time %q: %s", text, hint)
	}
	return time.Duration(n) * unit, nil
}

// Expiry returns the attribute of an entry that lasts for a time or until a date; at most one of them is not "".
func (e *Editor) Expiry(span, date string) (attribute string, err error) {
	switch {
	case !isOneWord(date): // else it could be other lines
		return "", fmt.Errorf("invalid date %q: write a date such as 2026-12-01, or a time such as 2026-12-01T18:00:00Z", date)
	case date != "":
		return "until=" + date, nil // the check of the file says what is wrong
	case span != "":
		d, err := ParseFor(span)
		return "until=" + e.Clock().Add(d+time.Second-1).UTC().Truncate(time.Second).Format(time.RFC3339), err
	}
	return "", nil
}

// note returns the note of a new line: why, the user, and when.
func (e *Editor) note(reason string) string {
	by := e.User + ", " + e.Clock().UTC().Format(time.DateOnly)
	if reason == "" {
		return by
	}
	return reason + " (" + by + ")"
}

// maxReason is how many bytes a reason has: less than a line of a list file, which is 4095.
const maxReason = 1000

// CheckReason refuses a reason that cannot be a note.
func CheckReason(reason string) error {
	if len(reason) > maxReason {
		return fmt.Errorf("--reason has %d bytes: write at most %d", len(reason), maxReason)
	}
	if strings.ContainsFunc(reason, unicode.IsControl) {
		return errors.New("--reason must be one line, without control characters")
	}
	return nil
}

// formatLine returns a line of a list file, without its end.
func formatLine(entry, attribute, note string) string {
	if attribute != "" {
		entry += " " + attribute
	}
	return entry + "  # " + note
}

// placed is an entry of a file.
type placed struct {
	iptable.Item
	list *config.List
	file string
}

// place returns file:line.
func (p *placed) place() string { return Place(p.file, p.Line) }

// readEntries returns the entries of a text that is fine.
func readEntries(l *config.List, file string, text []byte) (all []placed, err error) {
	err = listfile.Parse(bytes.NewReader(text), file, l.Spec.Rules, func(it *listfile.Item) error {
		all = append(all, placed{it.Item, l, file})
		return nil
	})
	return all, err
}

// isSame reports whether two entries have the same condition.
func isSame(a, b *iptable.Item) bool {
	return a.Kind == b.Kind && a.Exception == b.Exception && a.From == b.From && a.To == b.To && a.Name == b.Name
}

// lastsAsLong reports whether an entry that ends at until, never if that is zero, counts as long as another one.
func lastsAsLong(until, other time.Time) bool {
	return until.IsZero() || !other.IsZero() && !until.Before(other)
}

// probe returns a client that an entry matches: the first of its addresses, or a name that no other entry is likely to have.
func probe(it *iptable.Item) lists.Client {
	name := it.Name
	if strings.HasPrefix(name, ".") {
		name = "any-host" + strings.TrimSuffix(name, ".")
	}
	switch it.Kind {
	case iptable.Name:
		return lists.Client{Name: name}
	case iptable.HELO:
		return lists.Client{HELO: name}
	}
	return lists.Client{Addr: it.From}
}
