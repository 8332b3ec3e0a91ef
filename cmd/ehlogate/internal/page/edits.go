package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/lists/secret"
)

const (
	// maxJournalTail is how many bytes at the end of the journal of edits are read.
	maxJournalTail = 256 << 10
	// maxEdits is how many edits are shown.
	maxEdits = 20
	// maxEditLines is how many lines of an edit are shown.
	maxEditLines = 4
)

// editReader reads the journal. Its file system may hang: then one goroutine waits for it, and no page.
type editReader struct{ slot chan struct{} }

func newEditReader() editReader { return editReader{make(chan struct{}, 1)} }

// errBusy means that the journal could not be read in time.
var errBusy = errors.New("timeout: the file system does not respond")

// read returns the last edits, the newest first.
func (r editReader) read(ctx context.Context, path string) ([]listedit.Record, error) {
	type result struct {
		edits []listedit.Record
		err   error
	}
	got := make(chan result, 1)
	select {
	case r.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, errBusy
	}
	go func() {
		defer func() { <-r.slot }()
		tail, err := readTail(path)
		edits := parseEdits(tail)
		if before, _ := readTail(path + ".1"); err == nil && len(edits) < maxEdits { // to which a long journal is renamed
			edits = append(edits, parseEdits(before)...)
		}
		got <- result{edits[:min(len(edits), maxEdits)], err}
	}()
	select {
	case g := <-got:
		return g.edits, g.err
	case <-ctx.Done():
		return nil, errBusy
	}
}

// readTail returns the last bytes of a file, from the beginning of a line on.
func readTail(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not stop it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is no file")}
	}
	begin := max(info.Size()-maxJournalTail, 0)
	tail, err := io.ReadAll(io.NewSectionReader(f, begin, maxJournalTail))
	if begin > 0 {
		_, tail, _ = bytes.Cut(tail, []byte("\n"))
	}
	return tail, err
}

// parseEdits returns the last edits of a journal, the newest first. A line that is none is left out.
func parseEdits(tail []byte) (all []listedit.Record) {
	lines := bytes.Split(tail, []byte("\n"))
	for _, line := range slices.Backward(lines) {
		var e listedit.Record
		if len(all) < maxEdits && json.Unmarshal(line, &e) == nil && e.Number > 0 {
			all = append(all, e)
		}
	}
	return all
}

// describeChange returns what changed, in a few lines. A note may have the key of a feed.
func describeChange(e *listedit.Record) (out []string) {
	for _, h := range e.Hunks {
		for _, line := range h.Before {
			out = append(out, "− "+secret.MaskText(line))
		}
		for _, line := range h.After {
			out = append(out, "+ "+secret.MaskText(line))
		}
	}
	if more := len(out) - maxEditLines; more > 1 {
		out = append(out[:maxEditLines], fmt.Sprintf("and %s more", groupDigits(more)))
	}
	return out
}

func (v *view) addEdits(ctx context.Context) {
	path := v.snapshot.Config.Edits.Journal
	if path == "" {
		return
	}
	all, err := v.page.edits.read(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	s := section{ID: "edits", Title: "Last edits"}
	if err != nil {
		s.Lead = []string{v.say("They are not known: %v", err)}
	}
	t := newTable("Edits by ehlogate list, the newest first", "Edit", "When", "User", "Command", "code:Place", "code:Change", "Reason")
	for i := range all {
		e := &all[i]
		place := e.File
		if len(e.Hunks) > 0 {
			place = fmt.Sprintf("%s:%d", e.File, e.Hunks[0].Line)
		}
		change := cell{Lines: describeChange(e)}
		if len(change.Lines) == 0 {
			change.Text = fmt.Sprintf("%s cut, %s added", count(e.Cut, "line"), groupDigits(e.Added))
		}
		command := cell{Text: e.Command + " " + e.List}
		if e.Undoes > 0 {
			command.Lines = []string{fmt.Sprintf("of edit %d", e.Undoes)}
		}
		v.add(t, cell{Text: fmt.Sprint(e.Number)}, v.age(e.Time), cell{Text: e.User}, command, cell{Text: place}, change, cell{Text: secret.MaskText(e.Reason)})
	}
	s.Tables = []*table{t}
	v.addSection(s)
}
