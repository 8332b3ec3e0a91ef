package listedit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"ehlogate/lists/filewatch"
)

// history is what became of the edits in the journal.
type history struct {
	all    []Record
	undone map[int]int  // by edit: which one took it back, and was not taken back itself
	unmade map[int]bool // edits that were noted, and not made, since the command was killed
}

// digestOf returns what tells a text from others.
func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// findHistory compares the text that each edit found with the one that the next edit of the file found, or that is there now:
// if they are the same, the edit was not made.
func (e *Editor) findHistory(all []Record) *history {
	h := &history{all, map[int]int{}, map[int]bool{}}
	next := map[string]string{} // by file
	for i := range e.Config.Lists {
		if l := &e.Config.Lists[i]; IsOwn(l) {
			for _, name := range filewatch.StatFiles(l.Spec.Patterns, nil).Names() {
				if !slices.ContainsFunc(all, func(r Record) bool { return r.File == name }) {
					continue
				}
				if text, err := readList(name); err == nil {
					next[name] = digestOf(text)
				}
			}
		}
	}
	for _, r := range slices.Backward(all) { // an undo has a greater number than what it takes back
		isMade := r.Found == "" || r.Found != next[r.File]
		h.unmade[r.Number] = !isMade
		next[r.File] = r.Found
		if isMade && r.Undoes != 0 && h.undone[r.Number] == 0 && h.undone[r.Undoes] == 0 {
			h.undone[r.Undoes] = r.Number
		}
	}
	return h
}

// canBeLast reports whether an undo without a number may take an edit back: it is no undo, and is in effect.
func (h *history) canBeLast(r *Record) bool {
	return r.Undoes == 0 && h.undone[r.Number] == 0 && !h.unmade[r.Number]
}

// choose returns the edit to take back: the one with a number, or the last one if that is 0. The error is why it cannot be.
func (h *history) choose(number int) (*Record, error) {
	for i := len(h.all) - 1; i >= 0; i-- {
		if r := &h.all[i]; r.Number == number || number == 0 && h.canBeLast(r) {
			return r, h.check(r)
		}
	}
	switch {
	case len(h.all) == 0:
		return nil, errors.New("no edit to take back: the journal has none")
	case number == 0:
		return nil, errors.New(`no edit to take back: all were taken back already; to put one back, give the number of its undo, which "ehlogate list log" shows`)
	}
	return nil, fmt.Errorf(`no edit %d in the journal, which has those from %d to %d: "ehlogate list log" shows them`, number, h.all[0].Number, h.all[len(h.all)-1].Number)
}

// check returns why an edit cannot be taken back, by the journal alone.
func (h *history) check(r *Record) error {
	switch by := h.undone[r.Number]; {
	case h.unmade[r.Number]:
		return fmt.Errorf("edit %d has nothing to take back: its command was killed before it was made, or the file is again as it was before", r.Number)
	case by != 0:
		return fmt.Errorf("edit %d was taken back already, by edit %d: to do it again, take that one back: ehlogate list undo %d", r.Number, by, by)
	case len(r.Hunks) == 0:
		return fmt.Errorf("edit %d cannot be taken back: it cut %d lines and wrote %d, which is more than the journal keeps", r.Number, r.Cut, r.Added)
	}
	return nil
}

// maxAdvice is how many edits are tried for an advice.
const maxAdvice = 10

// advise returns what can be done in place of taking an edit back.
func (e *Editor) advise(h *history, not *Record) string {
	tried := 0
	for i := len(h.all) - 1; i >= 0 && tried < maxAdvice; i-- {
		r := &h.all[i]
		if r.Number == not.Number || !h.canBeLast(r) || h.check(r) != nil {
			continue
		}
		tried++
		if l, err := e.findUndo(r); err == nil {
			if text, err := readList(r.File); err == nil {
				if _, err := locate(l, r.File, text, invert(r.Hunks)); err == nil {
					return fmt.Sprintf("\nto take back edit %d (%s): ehlogate list undo %d", r.Number, r.Command+" "+l.Name, r.Number)
				}
			}
		}
	}
	if l, err := e.findList(not.List); err == nil {
		return "\nno other edit can be taken back; to change the list by hand: ehlogate list edit " + l.Name
	}
	return ""
}
