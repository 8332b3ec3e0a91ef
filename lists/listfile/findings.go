package listfile

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"slices"

	"ehlogate/lists/diag"
)

// findings are the warnings about the entries of one list: the first ones in the order of the lines, and how many there
// are.
type findings struct {
	first []finding
	total int
}

type finding struct {
	id        int32 // of the entry
	msg, hint string
}

// add adds a warning about an entry. It calls describe only if the warning is kept.
func (f *findings) add(id int32, describe func() (msg, hint string)) {
	f.total++
	n := len(f.first)
	if n == diag.MaxProblems && f.first[n-1].id <= id {
		return
	}
	at := n
	for at > 0 && f.first[at-1].id > id {
		at--
	}
	msg, hint := describe()
	if f.first = slices.Insert(f.first, at, finding{id, msg, hint}); n == diag.MaxProblems {
		f.first = f.first[:n]
	}
}

// report adds the warnings, with the lines that they are about.
func (f *findings) report(c *checked, to *diag.Problems) {
	problems := make([]diag.Problem, len(f.first))
	wanted := make(map[string]map[int][]*diag.Problem)
	for i, found := range f.first {
		e := c.table.Entry(found.id, netip.Addr{})
		problems[i] = diag.Problem{File: e.File, Line: e.Line, Msg: found.msg, Hint: found.hint}
		if wanted[e.File] == nil {
			wanted[e.File] = make(map[int][]*diag.Problem)
		}
		wanted[e.File][e.Line] = append(wanted[e.File][e.Line], &problems[i])
	}
	for name, lines := range wanted {
		showLines(name, lines)
	}
	for _, p := range problems {
		to.Add(p)
	}
	to.Total += f.total - len(f.first)
}

// showLines sets the text of problems by the lines of a file that they are about, and underlines the entry. It leaves
// out what it cannot read: the file may have changed.
func showLines(name string, problems map[int][]*diag.Problem) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(make([]byte, MaxLine), MaxLine)
	for n := 1; len(problems) > 0 && s.Scan(); n++ {
		for _, p := range problems[n] {
			line := bytes.TrimSuffix(s.Bytes(), []byte("\r"))
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte(byteOrderMark))
			}
			body, _, _ := bytes.Cut(line, []byte("#"))
			word, at, _ := nextWord(body, 0)
			p.Text, p.Col, p.Width = string(line), at+1, len(word)
		}
		delete(problems, n)
	}
}
