package listedit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newEditor returns an editor of a config with the lists allow and deny, and the paths of the latter's file and the journal.
func newEditor(t testing.TB, deny string) (e *Editor, file, journal string) {
	t.Helper()
	dir := t.TempDir()
	file, journal = filepath.Join(dir, "deny.list"), filepath.Join(dir, "edits.jsonl")
	must(t, os.WriteFile(file, []byte(deny), 0o640))
	must(t, os.WriteFile(filepath.Join(dir, "allow.list"), []byte("# none\n"), 0o640))
	conf := filepath.Join(dir, "c.toml")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, `guard.off = true
edits = { journal = %q }
[[list]]
name = "allow"
action = "offer"
files = ["allow.list"]
[[list]]
name = "deny"
action = "suppress"
files = ["deny.list"]
`, journal), 0o640))
	cfg, err := config.Load(conf)
	must(t, err)
	return &Editor{Config: cfg, Clock: time.Now, User: "alice"}, file, journal
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

// randomLines returns lines of a list file, and the words of their entries, which are different ones.
func randomLines(r *rand.Rand) (lines, words []string) {
	for i := range r.IntN(12) + 1 {
		word := fmt.Sprintf("198.51.%d.%d", i, r.IntN(256))
		switch r.IntN(8) {
		case 0:
			lines = append(lines, "")
			continue
		case 1:
			lines = append(lines, "#  a comment\twith\u00e9 "+word)
			continue
		case 2:
			word = fmt.Sprintf("2001:DB8:%x::/48", i)
		case 3:
			word = fmt.Sprintf("Host%d.Example.NET", i)
		case 4:
			word = fmt.Sprintf("helo:x%d", i)
		}
		line := strings.Repeat(" ", r.IntN(3)) + word
		if r.IntN(3) == 0 {
			line += "  until=2099-01-01"
		}
		if r.IntN(2) == 0 {
			line += "\t#  note " + word + "  "
		}
		lines, words = append(lines, line), append(words, word)
	}
	return append(lines, "# end"), words
}

// TestOneLine checks that an edit changes one line, and leaves all other bytes of a file as they are; and that undo gives
// back the file as it was.
func TestOneLine(t *testing.T) {
	e, file, _ := newEditor(t, "# none\n")
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 21))
		lines, words := randomLines(r)
		end := []string{"\n", "\r\n"}[r.IntN(2)]
		mark := []string{"", byteOrderMark}[r.IntN(2)]
		old := mark + strings.Join(lines, end) + end
		must(t, os.WriteFile(file, []byte(old), 0o640))
		var p *Plan
		var err error
		want := old
		switch kind := r.IntN(3); {
		case kind == 0 || len(words) == 0:
			p, err = e.PlanAdd("deny", "203.0.113.77", "", "why")
			must(t, err)
			want += p.Hunks[0].After[0] + "\n"
		case kind == 1:
			word := words[r.IntN(len(words))]
			p, err = e.PlanRemove("deny", strings.ToUpper(word[:1])+word[1:], "")
			must(t, err)
			want = withoutLine(old, word)
		default:
			word := words[r.IntN(len(words))]
			p, err = e.PlanAdd("deny", word, "until=2199-01-01", "")
			must(t, err)
			if p.Nothing == "" {
				want = strings.Replace(old, lineOf(old, word), p.Hunks[0].After[0]+"\n", 1)
			}
		}
		if p.Nothing != "" {
			continue
		}
		if after := p.Hunks[0].After; len(after) > 0 && strings.HasSuffix(after[0], "\r") != (end == "\r\n") {
			t.Fatalf("seed %d: %q among lines that end in %q", seed, after[0], end)
		}
		_, err = p.Write()
		must(t, err)
		if got := read(t, file); got != want {
			t.Fatalf("seed %d: %q\nbecame %q\nwant   %q", seed, old, got, want)
		}
		undo, err := e.PlanUndo(0, "")
		must(t, err)
		_, err = undo.Write()
		must(t, err)
		if got := read(t, file); got != old {
			t.Fatalf("seed %d: %q\nbecame %q\nand by undo %q", seed, old, want, got)
		}
	}
}

// lineOf returns the line of a text, with its end and without a byte order mark, that has an entry.
func lineOf(text, word string) string {
	for line := range strings.Lines(strings.TrimPrefix(text, byteOrderMark)) {
		entry, _, _ := strings.Cut(line, "#")
		if fields := strings.Fields(entry); len(fields) > 0 && fields[0] == word {
			return line
		}
	}
	return "\x00"
}

func withoutLine(text, word string) string {
	return strings.Replace(text, lineOf(text, word), "", 1)
}

// TestApply checks hunks alone, also for what no list file may be: without a line feed at its end.
func TestApply(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 22))
		old := strings.Repeat("a\r\nb\n\nb\n", r.IntN(3)) + []string{"", "a", "a\n", "\n", "\r"}[r.IntN(5)]
		lines := parseDocument([]byte(old)).lines
		var hunks []Hunk
		for at := 0; at < len(lines); at += 1 + r.IntN(3) {
			n := r.IntN(min(2, len(lines)-at+1))
			hunks = append(hunks, Hunk{at + 1, lines[at : at+n], []string{"x", "y", "z"}[:r.IntN(4)]})
		}
		changed := apply([]byte(old), hunks)
		if back := apply(changed, invert(hunks)); len(changed) > 0 && !bytes.Equal(back, []byte(old)) {
			t.Fatalf("seed %d: %q became %q by %+v, and back %q", seed, old, changed, hunks, back)
		}
	}
}

// TestAtOnce checks that edits of several users at once are all made and all noted.
func TestAtOnce(t *testing.T) {
	e, file, journal := newEditor(t, "# begin\n198.51.100.1\n")
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			p, err := e.PlanAdd("deny", fmt.Sprintf("192.0.2.%d", i), "", "")
			if err == nil {
				_, err = p.Write()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	text := read(t, file)
	for i := range 20 {
		if line := fmt.Sprintf("\n192.0.2.%d  # alice", i); strings.Count(text, line) != 1 {
			t.Errorf("%q is there %d times", line, strings.Count(text, line))
		}
	}
	all, err := Journal{journal}.Read()
	must(t, err)
	for i, r := range all {
		if r.Number != i+1 || r.Hunks[0].Line != i+3 {
			t.Errorf("record %d has number %d, and line %d", i, r.Number, r.Hunks[0].Line)
		}
	}
	if len(all) != 20 {
		t.Errorf("%d edits are noted", len(all))
	}
	if info, err := os.Stat(journal); err != nil || info.Mode() != journalMode {
		t.Errorf("the journal has mode %v, %v", info.Mode(), err)
	}
}

// TestJournal checks what is left of a journal after a crash, that it is bounded, and that numbers go on.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "edits.jsonl")
	j := Journal{path}
	add := func(reason string) int {
		r := Record{Command: "add", Reason: reason}
		must(t, j.Around(&r, func() error { return nil }))
		return r.Number
	}
	add("first")
	must(t, os.WriteFile(path, []byte(read(t, path)+`{"number":2,"time":"20`), 0o640))
	if n := add("second"); n != 2 {
		t.Errorf("number %d after a record that was cut off", n)
	}
	if all, err := j.Read(); err != nil || len(all) != 2 || all[1].Reason != "second" {
		t.Errorf("%+v, %v", all, err)
	}
	r := Record{Command: "add", Reason: "failed"}
	before := read(t, path)
	if err := j.Around(&r, func() error { return os.ErrInvalid }); err == nil || read(t, path) != before {
		t.Errorf("an edit that failed is noted: %v", err)
	}
	long := Record{Command: "import", Hunks: []Hunk{{Line: 1, After: []string{strings.Repeat("x", maxHunks)}}}}
	must(t, j.Around(&long, func() error { return nil }))
	if all, _ := j.Read(); len(all) != 3 || all[2].Hunks != nil {
		t.Errorf("%d records, or a long edit with its lines", len(all))
	}
	const more = 24
	for range more {
		add(strings.Repeat("y", 3*maxJournal/more))
	}
	size := 0
	for _, name := range []string{path, path + ".1"} {
		size += len(read(t, name))
	}
	all, err := j.Read()
	if last := all[len(all)-1].Number; err != nil || size > 2*maxJournal+2*3*maxJournal/more || last != 3+more || all[0].Number != last-len(all)+1 {
		t.Errorf("%d bytes, the last of %d records has number %d, %v", size, len(all), last, err)
	}
}
