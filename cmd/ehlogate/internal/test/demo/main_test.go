package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// The demo shows what it promises, and leaves nothing behind.
func TestDemo(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	var out bytes.Buffer
	err := run(t.Context(), &out, "../../../../../examples/postfix/ehlogate.cf")
	t.Logf("%s", &out)
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]int{"> a message: delivered": 6, "502 5.5.1": 2, "TLSv1.3 agreed": 0, "TLS 1.3 agreed": 4,
		"over TLS              1   client, 2 messages": 1, "handshakes avoided                     2": 1} {
		if got := strings.Count(out.String(), what); got != n {
			t.Errorf("%q is shown %d times, want %d", what, got, n)
		}
	}
	dir := regexp.MustCompile(`of their own, in (\S+)`).FindStringSubmatch(out.String())
	if _, err := os.Stat(dir[1]); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", dir[1], err)
	}
}
