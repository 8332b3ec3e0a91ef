package explain

import (
	"strings"
	"testing"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// TestEffect: the effect of an answer is what the mail server does, whatever keywords the operator always hides.
func TestEffect(t *testing.T) {
	c, err := ParseClient("192.0.2.7", "", "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, hide := range [][]string{nil, {"chunking"}, {"silent-discard", "dsn"}} {
		for _, explicit := range []bool{false, true} {
			for def, verb := range map[lists.Action]string{lists.Offer: "offer", lists.Suppress: "hide"} {
				r := NewReport(t.Context(), c, &lists.Policy{Default: def}, policyd.NewValues(hide, explicit))
				for _, a := range r.Answers {
					if !strings.HasPrefix(a.Query, "helo:") && !strings.Contains(a.Effect, verb) {
						t.Errorf("hide %q, explicit %v, default %s: %+v", hide, explicit, def, a)
					}
				}
				if len(r.Answers) != 6 || strings.Count(r.Answers[0].Reply, "silent-discard") > 1 {
					t.Errorf("answers %+v", r.Answers)
				}
			}
		}
	}
}

func TestParseClient(t *testing.T) {
	for _, bad := range []string{"a b", "a\r\nb", "a\x00", "ü"} {
		if _, err := ParseClient("::1", bad, ""); err == nil {
			t.Errorf("the name %q was taken", bad)
		}
		if _, err := ParseClient("::1", "", bad); err == nil {
			t.Errorf("the HELO name %q was taken", bad)
		}
	}
}
