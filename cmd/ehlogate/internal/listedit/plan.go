package listedit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/edit"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/printable"
)

// Plan is a change of one file that was not made yet.
type Plan struct {
	Subject string // what it is about, "" for several entries
	Nothing string // why there is nothing to do; "": there is
	Changes []*Change
	Unknown string   // why the effect is not known; "": it is
	Notes   []string // what the effect does not take into account
	Hint    string   // for the operator; may be empty
	Hunks   []Hunk   // of the file as it was
	Items   []iptable.Item

	editor   *Editor
	list     *config.List
	file     string
	record   Record
	text     []byte // of the file as it was
	whole    []byte // the text to write, if the operator has edited all of it; nil: what the hunks make of the other text
	hunks    func(text []byte) ([]Hunk, error)
	policies *policies
}

// nothingError is why there is nothing to do.
type nothingError string

func (e nothingError) Error() string { return string(e) }

// plan plans what hunks does to the text of a file of a list.
func (e *Editor) plan(l *config.List, file string, record Record, hunks func(text []byte) ([]Hunk, error)) (*Plan, error) {
	p := &Plan{editor: e, list: l, file: file, record: record, hunks: hunks}
	if err := p.prepare(); err != nil {
		return nil, err
	}
	return p, nil
}

// prepare finds out what a plan changes. A text that the operator has edited as a whole may mend a file that has errors.
func (p *Plan) prepare() (err error) {
	if p.text, err = readList(p.file); err != nil {
		return err
	}
	broken := edit.CheckText(p.file, p.list.Spec.Rules, p.text)
	if broken != nil && p.whole == nil {
		return p.editor.explainBroken(p.list, p.file, broken)
	}
	var nothing nothingError
	if p.Hunks, err = p.makeHunks(p.text); errors.As(err, &nothing) {
		p.Nothing = string(nothing)
		return nil
	} else if err != nil {
		return err
	}
	after := p.change(p.text, p.Hunks)
	if err := edit.CheckText(p.file, p.list.Spec.Rules, after); err != nil {
		return p.refuse(err)
	}
	if bytes.Equal(after, p.text) { // the last line got its end, which an undo leaves
		p.Nothing = "the text is the same"
		return nil
	}
	if broken != nil {
		p.Unknown = "the file had errors before"
		return nil
	}
	if p.policies, err = p.editor.loadPolicies(p.file, after); err != nil && p.whole != nil {
		p.Unknown = err.Error() // another file of the list
		return nil
	} else if err != nil {
		return err
	}
	p.Notes = p.policies.without
	if p.Items, err = itemsOf(p.Hunks, p.list.Spec.Rules); err != nil {
		return err
	}
	p.Changes = p.policies.compare(p.Items)
	return nil
}

// makeHunks returns what a plan changes in a text. Each of its new lines is one line: another would be an entry that the
// operator did not see.
func (p *Plan) makeHunks(text []byte) ([]Hunk, error) {
	hunks, err := p.hunks(text)
	if err != nil {
		return nil, err
	}
	for _, h := range hunks {
		for _, line := range h.After {
			if strings.ContainsAny(strings.TrimSuffix(line, "\r"), "\r\n") {
				return nil, fmt.Errorf("nothing was changed: %q is not one line", line)
			}
		}
	}
	if cut, added := countLines(hunks); added == 0 && cut > 0 && cut == len(parseDocument(text).lines) { // an empty file is an error
		last := &hunks[len(hunks)-1]
		last.After = []string{"# no entries" + lineEnd(text)}
	}
	return hunks, nil
}

// change returns what a plan makes of a text.
func (p *Plan) change(text []byte, hunks []Hunk) []byte {
	if p.whole != nil {
		return p.whole
	}
	return apply(text, hunks)
}

// refuse returns the error of a text that a plan would write. It may be edited again if the operator has edited all of it.
func (p *Plan) refuse(err error) error {
	if p.whole != nil {
		return err
	}
	return fmt.Errorf("nothing was changed:\n%w", err)
}

// explainBroken adds what to do about a file that has errors already.
func (e *Editor) explainBroken(l *config.List, file string, err error) error {
	mend := "ehlogate list edit " + l.Name
	if names, err := e.files(l); err == nil && len(names) > 1 {
		mend += " --file " + printable.Escape(file)
	}
	return fmt.Errorf("nothing was changed, since the file has errors already:\n%w\nmend that first: %s", err, mend)
}

// itemsOf returns the entries of the lines that hunks cut and add.
func itemsOf(hunks []Hunk, rules listfile.Rules) (items []iptable.Item, err error) {
	for _, h := range hunks {
		for _, lines := range [][]string{h.Before, h.After} {
			text := "#\n" + strings.Join(lines, "\n") + "\n" // never empty
			if err := listfile.Parse(strings.NewReader(text), "", rules, func(it *listfile.Item) error {
				items = append(items, it.Item)
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	return items, nil
}

// Write makes the change, and returns what was done.
func (p *Plan) Write() (Record, error) {
	r := p.record
	r.Time, r.User, r.List, r.File = p.editor.Clock().UTC(), p.editor.User, p.list.Name, p.file
	f := edit.File{Path: p.file, Rules: p.list.Spec.Rules, Force: p.editor.Force, Mends: p.whole != nil, Around: func(put func() error) error {
		return Journal{p.editor.Config.Edits.Journal}.Around(&r, put)
	}}
	err := f.Change(func(text []byte) (_ []byte, err error) {
		if r.Hunks, err = p.makeHunks(text); err != nil {
			return nil, err
		}
		r.Found = digestOf(text)
		r.Cut, r.Added = countLines(r.Hunks)
		return p.change(text, r.Hunks), nil
	})
	return r, explainAccess(err)
}

// IsNothing reports whether an error of Write is that there was nothing left to do.
func IsNothing(err error) bool { return errors.As(err, new(nothingError)) }
