package listedit

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"ehlogate/cmd/ehlogate/internal/edit"
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
	text, err := os.ReadFile(file)
	return text, explainAccess(err)
}

// PlanText plans to replace the text of a file, which was read before, by another one.
func (e *Editor) PlanText(list, file string, was, text []byte, reason string) (*Plan, error) {
	l, err := e.findList(list)
	if err != nil {
		return nil, err
	}
	hunks := diff(parseDocument(was).lines, parseDocument(text).lines)
	if !bytes.Equal(apply(was, hunks), text) { // only its last line feed, or its byte order mark, is another one
		if err := edit.CheckText(file, l.Spec.Rules, text); err != nil {
			return nil, fmt.Errorf("nothing was changed:\n%w", err)
		}
		return nil, fmt.Errorf("%s: only a byte order mark at the beginning was changed, which does not count", printable.Escape(file))
	}
	return e.plan(l, file, Record{Command: "edit", Reason: reason}, func(now []byte) ([]Hunk, error) {
		if !bytes.Equal(now, was) {
			return nil, fmt.Errorf("%s: %w", printable.Escape(file), ErrChanged)
		}
		if len(hunks) == 0 {
			return nil, nothingError("the text is the same")
		}
		return hunks, nil
	})
}
