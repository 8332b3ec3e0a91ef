package listedit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"ehlogate/cmd/ehlogate/internal/edit"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/printable"
)

// ErrChanged means that a file was changed since its text was copied.
var ErrChanged = errors.New("the file was changed meanwhile")

// ChooseFile returns the file of a list that is edited as a whole.
func (e *Editor) ChooseFile(list string) (string, error) {
	l, err := e.findList(list)
	if err != nil {
		return "", err
	}
	file, err := e.chooseFile(l)
	if err != nil {
		return "", err
	}
	if !e.Force {
		if err := edit.CheckEditors(file); err != nil {
			return "", err
		}
	}
	return file, nil
}

// ReadFile returns the text of a list file.
func (e *Editor) ReadFile(file string) ([]byte, error) {
	return readList(file)
}

// MaxSize is the largest list file in bytes that is changed: it is in memory as a whole.
const MaxSize = 1 << 30

// readList returns the text of a list file, which may be no pipe and no device.
func readList(file string) ([]byte, error) {
	text, err := filewatch.ReadFile(file, MaxSize)
	return text, explainAccess(err)
}

// PlanText plans to replace the text of a file, which was read before, by another one.
func (e *Editor) PlanText(list, file string, was, text []byte, reason string) (*Plan, error) {
	l, err := e.findList(list)
	if err != nil {
		return nil, err
	}
	hunks := diffTexts(was, text)
	if len(hunks) == 0 && !bytes.Equal(was, text) {
		return nil, fmt.Errorf("%s: only a byte order mark at the beginning was changed, which does not count", printable.Escape(file))
	}
	p := &Plan{editor: e, list: l, file: file, record: Record{Command: "edit", Reason: reason}, whole: append([]byte{}, text...)}
	p.hunks = func(now []byte) ([]Hunk, error) {
		if !bytes.Equal(now, was) {
			return nil, fmt.Errorf("%s: %w", printable.Escape(file), ErrChanged)
		}
		if len(hunks) == 0 {
			return nil, nothingError("the text is the same")
		}
		return hunks, nil
	}
	if err := p.prepare(); err != nil {
		return nil, err
	}
	return p, nil
}

// diffTexts returns hunks that make one text of another. A last line that gets its end is changed, although its words are not.
func diffTexts(before, after []byte) []Hunk {
	lines := func(text []byte) []string {
		d := parseDocument(text)
		if !d.ended {
			d.lines[len(d.lines)-1] += "\n"
		}
		return d.lines
	}
	hunks := diff(lines(before), lines(after))
	for _, h := range hunks {
		for _, lines := range [][]string{h.Before, h.After} {
			if last := len(lines) - 1; last >= 0 {
				lines[last] = strings.TrimSuffix(lines[last], "\n")
			}
		}
	}
	return hunks
}
