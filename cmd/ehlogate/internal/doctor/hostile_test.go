package doctor

import (
	"bytes"
	"strings"
	"testing"

	"ehlogate/lists/printable"
	"ehlogate/lists/test/hostile"
)

// TestHostileFinding checks that a report shows nothing of a configuration that is not visible.
func TestHostileFinding(t *testing.T) {
	for _, text := range hostile.Texts {
		text = text[:min(len(text), 900)]
		r := Report{Judged: text, Findings: []Finding{{ID: "x", Place: Place{File: text, Service: text, Parameter: text, Value: text}, What: text, Why: text,
			Write: Write{text, []string{text}}, Also: []Write{{shell, []string{text}}}}, {ID: "y", Place: Place{File: text}}}}
		var out bytes.Buffer
		if err := r.WriteText(&out); err != nil {
			t.Fatal(err)
		}
		if err := hostile.Check(out.String()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		out.Reset()
		if err := printable.WriteJSON(&out, r); err != nil {
			t.Fatal(err)
		}
		if err := hostile.Check(out.String()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range hostile.Readable {
		var out bytes.Buffer
		if err := (&Report{Findings: []Finding{{What: text}}}).WriteText(&out); err != nil || !strings.Contains(out.String(), text) {
			t.Errorf("%s became %s, %v", text, &out, err)
		}
	}
}
