package listedit

import (
	"os"
	"strings"
	"testing"
)

const damaged = `{"number":1,"command":"add","list":"deny","file":"FILE","hunks":[{"line":2,"after":["192.0.2.7"]}]}
{"number":2,"command":"add","list":"deny","file":"FILE","hunks":[{"line":-5,"after":["x"]}]}
{"number":3,"undoes":3,"hunks":[{"line":1}]}
{"number":4,"undoes":5,"hunks":[{"line":1}]}
{"number":5,"undoes":4,"hunks":[{"line":1}]}
{"number":9223372036854775807}
{"number":-1}
{"number":5}
{"number":6,"command":"rm","list":"deny","file":"FILE","hunks":[{"line":9007199254740993}]}
{"number":8,"command":"rm","list":"deny","file":"FILE","hunks":[{"line":1,"before":["a","b"]},{"line":1,"before":["192.0.2.9\n10.0.0.0/8"]}]}
`

// TestDamagedJournal checks which lines of a journal are left out, and that edits go on.
func TestDamagedJournal(t *testing.T) {
	e, file, journal := newEditor(t, "198.51.100.1\n192.0.2.7\n")
	must(t, os.WriteFile(journal, []byte(strings.ReplaceAll(damaged, "FILE", file)), 0o640))
	all, invalid, err := Journal{journal}.readAll()
	must(t, err)
	var numbers []int
	for _, r := range all {
		numbers = append(numbers, r.Number)
	}
	if len(all) != 3 || numbers[0] != 1 || numbers[1] != 5 || numbers[2] != 8 || invalid != 7 {
		t.Errorf("the edits %v, and %d invalid lines", numbers, invalid)
	}
	if log, err := e.ReadLog("", 0); err != nil || !strings.HasSuffix(log.Note, ": 7 invalid lines are left out, as after a crash") {
		t.Errorf("note %q, %v", log.Note, err)
	}
	if _, err := e.PlanUndo(7, ""); err == nil || !strings.Contains(err.Error(), "\n"+journal+": 7 invalid lines") {
		t.Error(err)
	}
	p, err := e.PlanUndo(1, "")
	must(t, err)
	r, err := p.Write()
	must(t, err)
	if got := read(t, file); got != "198.51.100.1\n" || r.Number != 9 {
		t.Errorf("edit %d made %q", r.Number, got)
	}
}

// FuzzJournal undoes edits of any journal. Each is refused, or leaves a list that can be read.
func FuzzJournal(f *testing.F) {
	e, file, journal := newEditor(f, "# mine\n198.51.100.1\n192.0.2.7\n")
	for line := range strings.Lines(damaged) {
		f.Add(line, 0)
	}
	f.Add(damaged, 1)
	f.Add(damaged, 8)
	f.Add(`{"number":1,"list":"deny","file":"FILE","hunks":[{"line":1,"after":["# mine","198.51.100.1","192.0.2.7"]},{"line":2,"before":["x"]}]}`+"\n", 0)
	f.Fuzz(func(t *testing.T, text string, number int) {
		must(t, os.WriteFile(journal, []byte(strings.ReplaceAll(text, "FILE", file)), 0o640))
		if p, err := e.PlanUndo(number, ""); err == nil && p.Nothing == "" {
			_ = p.Text() + p.Preview()
			after := apply(p.text, p.Hunks)
			if _, err := readEntries(p.list, file, after); err != nil {
				t.Errorf("%q: %v", after, err)
			}
		}
		log, err := e.ReadLog("", 0)
		must(t, err)
		log.Text()
	})
}
