package diag

import (
	"errors"
	"fmt"
	"testing"
)

func TestReport(t *testing.T) {
	for want, p := range map[string]Problem{
		"a.list: error: no such file\n      = hint: create it\n": {File: "a.list", Msg: "no such file", Hint: "create it"},
		"a.list:3: error: broken\n    3 | x\n":                   {File: "a.list", Line: 3, Text: "x", Msg: "broken"},
		"a.list:3:4: error: broken\n    3 | ü\t?x y\n      |  \t ^~~\n": {File: "a.list", Line: 3, Col: 5, Width: 3, Text: "ü\t\x1bx y",
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
