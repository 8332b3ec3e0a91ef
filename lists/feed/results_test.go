package feed

import "testing"

// A result with another text than the one before means the same only if its action is the same.
func TestMeansTheSame(t *testing.T) {
	for _, tc := range []struct {
		first, second string
		want          bool
	}{
		{"REJECT", "REJECT", true}, {"REJECT a", "REJECT b", true}, {"REJECT a", "REJECT", true}, {"REJECT", "REJECT,b", true}, {"550 a", "550 b", true},
		{"REJECT a", "reject b", false}, {"REJECT", "REJECT_b", false}, {"REJECT", "OK", false}, {",,", ",,,REJECT", false},
		{"dsn, foo", "dsn, starttls", false}, {"foo, starttls", "foo, dsn", false}, {"foo", "foo starttls", false},
	} {
		r := newResults(nil, Filtered{Results: "reject"})
		r.judge(word{tc.first, 0})
		if got := r.last.means(tc.second); got != tc.want {
			t.Errorf("%q after %q: %v", tc.second, tc.first, got)
		}
	}
}
