package listedit

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/edit"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// Plan is a change of one file that was not made yet.
type Plan struct {
	Subject string // what it is about, "" for several entries
	Nothing string // why there is nothing to do; "": there is
	Changes []*Change
	Notes   []string // what the effect does not take into account
	Hunks   []Hunk   // of the file as it was
	Items   []iptable.Item

	editor   *Editor
	list     *config.List
	file     string
	record   Record
	text     []byte // of the file as it was
	hunks    func(text []byte) ([]Hunk, error)
	policies *policies
}

// nothingError is why there is nothing to do.
type nothingError string

func (e nothingError) Error() string { return string(e) }

// plan plans what hunks does to the text of a file of a list.
func (e *Editor) plan(l *config.List, file string, record Record, hunks func(text []byte) ([]Hunk, error)) (*Plan, error) {
	p := &Plan{editor: e, list: l, file: file, record: record, hunks: hunks}
	var err error
	if p.text, err = os.ReadFile(file); err != nil {
		return nil, explainAccess(err)
	}
	if err := edit.CheckText(file, l.Spec.Rules, p.text); err != nil {
		return nil, fmt.Errorf("nothing was changed, since the file has errors already:\n%w", err)
	}
	var nothing nothingError
	if p.Hunks, err = hunks(p.text); errors.As(err, &nothing) {
		p.Nothing = string(nothing)
		return p, nil
	} else if err != nil {
		return nil, err
	}
	after := apply(p.text, p.Hunks)
	if err := edit.CheckText(file, l.Spec.Rules, after); err != nil {
		return nil, fmt.Errorf("nothing was changed:\n%w", err)
	}
	if p.policies, err = e.loadPolicies(file, after); err != nil {
		return nil, err
	}
	p.Notes = p.policies.without
	if p.Items, err = itemsOf(p.Hunks, l.Spec.Rules); err != nil {
		return nil, err
	}
	p.Changes = p.policies.compare(p.Items)
	return p, nil
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
	f := edit.File{Path: p.file, Rules: p.list.Spec.Rules, Force: p.editor.Force, Around: func(put func() error) error {
		return Journal{p.editor.Config.Edits.Journal}.Around(&r, put)
	}}
	err := f.Change(func(text []byte) (_ []byte, err error) {
		if r.Hunks, err = p.hunks(text); err != nil {
			return nil, err
		}
		r.Cut, r.Added = countLines(r.Hunks)
		return apply(text, r.Hunks), nil
	})
	return r, explainAccess(err)
}

// IsNothing reports whether an error of Write is that there was nothing left to do.
func IsNothing(err error) bool { return errors.As(err, new(nothingError)) }
