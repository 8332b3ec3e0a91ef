package lazyregexp

import "testing"

// An invalid pattern is found out by the tests of the package that has it, and a valid one is compiled when it is used.
func TestNew(t *testing.T) {
	defer func() { inTest = true }()
	inTest = false
	late := New("(")
	for what, use := range map[string]func(){"used": func() { late.MatchString("") }, "in a test": func() { inTest = true; New("(") }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("an invalid pattern, %s: got no panic", what)
				}
			}()
			use()
		}()
	}
	if r := New("^a+$"); !r.MatchString("aa") || r.MatchString("ab") || r.String() != "^a+$" {
		t.Errorf("%s matches otherwise", r)
	}
}
