// Package edit changes list files for an operator, as a careful operator would: the file is locked and checked, and
// replaced as a whole. Its other lines, owner, permissions and links stay as they are.
package edit

import (
	"bytes"
	"errors"
	"fmt"

	"ehlogate/cmd/ehlogate/internal/replace"
	"ehlogate/lists/listfile"
)

// File is a list file to change.
type File struct {
	Path  string
	Rules listfile.Rules
	// Force changes the file although an editor seems to have it open.
	Force bool
	// Mends means that the text may have errors before the change.
	Mends bool
	// Around is called when the new text is known to be fine, and calls replace, which puts it in place; nil: there is nothing
	// to do before or after that.
	Around func(replace func() error) error
}

// Append adds a line, without its end, to the end of a list file, which must exist and obey rules, as it must with the line.
func Append(path string, rules listfile.Rules, line string) error {
	return File{Path: path, Rules: rules}.Change(func(text []byte) ([]byte, error) { return AppendLine(text, line), nil })
}

// AppendLine returns a text with one more line, which ends as the others do.
func AppendLine(text []byte, line string) []byte {
	return append(append(text, line...), lineEnd(text)...)
}

// lineEnd returns how the lines of a text end.
func lineEnd(text []byte) string {
	if bytes.HasSuffix(text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// Change replaces the text of a list file by what change makes of it. Both must obey the rules, the former unless Mends. No other
// command changes the file meanwhile, and whatever happens, it has the old text or the new one.
func (f File) Change(change func(text []byte) ([]byte, error)) error {
	if !f.Force {
		if err := CheckEditors(f.Path); err != nil {
			return err
		}
	}
	locked, err := replace.Lock(f.Path)
	if err != nil {
		return err
	}
	defer locked.Unlock()
	old, err := locked.Read()
	if err != nil {
		return err
	}
	if err := CheckText(f.Path, f.Rules, old); err != nil && !f.Mends {
		return fmt.Errorf("nothing was changed, since the file has errors already:\n%w", err)
	}
	text, err := change(bytes.Clone(old))
	if err != nil || bytes.Equal(text, old) {
		return err
	}
	if err := CheckText(f.Path, f.Rules, text); err != nil {
		return fmt.Errorf("nothing was changed:\n%w", err)
	}
	put := func() error { return f.explain(locked.Replace(replace.Bytes(text))) }
	if f.Around != nil {
		return f.Around(put)
	}
	return put()
}

// CheckText reads a list as the daemon would.
func CheckText(path string, rules listfile.Rules, text []byte) error {
	return listfile.Parse(bytes.NewReader(text), path, rules, func(*listfile.Item) error { return nil })
}

func (f File) explain(err error) error {
	switch {
	case errors.Is(err, replace.ErrChanged):
		return fmt.Errorf("%s: the file was changed meanwhile, by an editor: try again", f.Path)
	case err != nil:
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return nil
}
