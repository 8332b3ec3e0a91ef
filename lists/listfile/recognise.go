package listfile

import (
	"errors"
	"fmt"
	"io"

	"ehlogate/lists/diag"
	"ehlogate/lists/recognise"
)

// maxForeign is how many problems are kept of a file in another format: the format is what is wrong.
const maxForeign = 3

// recognise returns err, what parsing a file returned, with what the file is as its first problem if it is not in the
// format of the list.
func (spec Spec) recognise(r io.ReadSeeker, name string, err error) error {
	format := "list"
	if spec.Format != nil {
		format = fmt.Sprint(spec.Format)
	}
	var ps *diag.Problems
	if err != nil && !errors.As(err, &ps) {
		return err
	}
	if err == nil && format != "addresses" {
		return nil
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	head := make([]byte, recognise.HeadSize)
	n, readErr := io.ReadFull(r, head)
	if readErr != nil && readErr != io.EOF && readErr != io.ErrUnexpectedEOF {
		return readErr
	}
	kind, ok := recognise.Recognise(head[:n])
	if !ok || kind.Reads(format) || err == nil && !kind.Misread {
		return err
	}
	all := diag.Problems{First: []diag.Problem{{File: name, Line: 1,
		Msg: fmt.Sprintf("this is %s, and the format of the list is %q", kind.What, format), Hint: spec.hintAbout(kind, name)}}, Total: 1}
	if ps != nil {
		for _, p := range ps.First[:min(len(ps.First), maxForeign)] {
			if spec.Format == nil {
				p.Hint = "" // it is about list files, and would be wrong
			}
			all.First = append(all.First, p)
		}
		all.Total += ps.Total
	}
	return &all
}

// hintAbout returns how to read a file of a kind.
func (spec Spec) hintAbout(kind recognise.Kind, name string) string {
	switch {
	case kind.Hint != "":
		return kind.Hint
	case len(kind.Formats) > 0 && spec.Rules.AnyAction:
		return fmt.Sprintf("check it with --format %s, and write format = %q for its list in the config", kind.Formats[0], kind.Formats[0])
	case len(kind.Formats) > 0:
		return fmt.Sprintf("write format = %q for this list in the config", kind.Formats[0])
	case kind.Command != "":
		return fmt.Sprintf("make a list of it, and name that in files = [...]: %s > %s", kind.CommandFor(name), recognise.Quote(name+".list"))
	}
	return ""
}
