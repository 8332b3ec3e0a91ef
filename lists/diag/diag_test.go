package diag

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ehlogate/lists/test/hostile"
)

func TestReport(t *testing.T) {
	for want, p := range map[string]Problem{
		"a.list: error: no such file\n      = hint: create it\n": {File: "a.list", Msg: "no such file", Hint: "create it"},
		"a.list:3: error: broken\n    3 | x\n":                   {File: "a.list", Line: 3, Text: "x", Msg: "broken"},
		"a.list:3:4: error: broken\n    3 | ü\t\\x1bx y\n      |  \t    ^~~\n": {File: "a.list", Line: 3, Col: 5, Width: 3, Text: "ü\t\x1bx y",
			Msg: "broken"},
		"a.list:3:2: error: broken\n    3 | x\n      |  ^\n": {File: "a.list", Line: 3, Col: 9, Width: 9, Text: "x", Msg: "broken"},
	} {
		if got := p.Report("error"); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	var all Problems
	if all.Err() != nil {
		t.Error("an error without a problem")
	}
	one := Problem{File: "a.list", Line: 1, Msg: "broken"}
	for range MaxProblems {
		all.Add(one)
	}
	more := &Problems{First: []Problem{one, one}, Total: 5}
	if !all.AddError(fmt.Errorf("wrapped: %w", more)) || !all.AddError(one) || all.AddError(errors.New("other")) {
		t.Error("AddError takes other errors, or does not take problems")
	}
	if got, want := all.Err().Error(), fmt.Sprintf("a.list:1: broken and %d more", MaxProblems+5); got != want || len(all.First) != MaxProblems {
		t.Errorf("got %q and %d kept, want %q and %d", got, len(all.First), want, MaxProblems)
	}
}

// TestHostileProblem checks that a problem shows nothing of a file that is not visible, or longer than a screen, and that
// the place is under the mistake.
func TestHostileProblem(t *testing.T) {
	for _, text := range append(hostile.Texts, hostile.Readable...) {
		for _, at := range []int{0, 1, 3, len(text) / 2, len(text)} {
			p := Problem{File: text, Line: 3, Col: at + 1, Width: 2, Text: text, Msg: text, Hint: text}
			for _, out := range []string{p.Error(), p.Report("error")} {
				if err := hostile.Check(out); err != nil || len(out) > 30<<10 {
					t.Errorf("%.40q at %d: %v, %d bytes", text, at, err, len(out))
				}
			}
		}
	}
	p := Problem{File: "f", Line: 1, Col: 9, Width: 3, Text: "ä\u202eü xyz", Msg: "m"}
	if got, want := p.Report("error"), "f:1:5: error: m\n    1 | ä\\u202eü xyz\n      |          ^~~\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	p = Problem{File: "f", Line: 1, Col: 4001, Width: 3, Text: strings.Repeat("ä", 2000) + "xyz" + strings.Repeat("b", 5000), Msg: "m"}
	if got, want := p.Report("error"), "f:1:2001: error: m\n    1 | ..."+strings.Repeat("ä", 100)+"xyz"+strings.Repeat("b", 197)+"...\n      | "+strings.Repeat(" ", 103)+"^~~\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
