package replace

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEqualTo(t *testing.T) {
	text := Text(func(out io.Writer) error {
		for i := range 1000 {
			if _, err := fmt.Fprintf(out, "line %d\n", i); err != nil {
				return err
			}
		}
		return nil
	})
	var whole strings.Builder
	if err := text(&whole); err != nil {
		t.Fatal(err)
	}
	for other, want := range map[string]bool{
		whole.String(): true, whole.String() + "x": false, whole.String()[1:]: false, whole.String()[:100]: false, "": false,
		strings.Replace(whole.String(), "999", "998", 1): false,
	} {
		if got, err := text.EqualTo(iotest.OneByteReader(strings.NewReader(other))); got != want || err != nil {
			t.Errorf("%d bytes: %v, %v", len(other), got, err)
		}
	}
	broken := errors.New("broken")
	if _, err := text.EqualTo(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	if _, err := Text(func(io.Writer) error { return broken }).EqualTo(strings.NewReader("")); !errors.Is(err, broken) {
		t.Errorf("a text that cannot be made: %v", err)
	}
}
