package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/reporttest"
)

// TestReportMail: an alias loses no finding and returns no report, whatever is wrong.
func TestReportMail(t *testing.T) {
	r := newReports(t, denyList)
	r.write("deny.list", "192.0.2.7\n")
	received := func(ago time.Duration, message string) string {
		at := time.Now().Add(-ago).Format(time.RFC1123Z)
		return "From noreply@sender.example  Sat Nov 28 06:09:00 2026\nReceived: from a by b;\n\t" + at + "\n" + message
	}
	signed := r.sender.Signed(t, yesterday("192.0.2.7"))
	unserved := reporttest.NewSender(t, "unserved.example").Signed(t, yesterday("192.0.2.7"))
	valid, err := os.ReadFile(r.path("c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	noDir := strings.Replace(string(valid), "tlsrpt.json", "gone/tlsrpt.json", 1)
	for name, tc := range map[string]struct {
		message, config string
		code            int
	}{
		"unsigned":             {received(0, r.sender.Message(t, yesterday("192.0.2.7"))), string(valid), 0},
		"no report":            {received(0, "From: a@example.org\n\nhello\n"), string(valid), 0},
		"a message in a text":  {received(0, "From: a@example.org\n\nhello\n\nFrom x\n"+signed), string(valid), 0},
		"no message":           {"", string(valid), 0},
		"garbage":              {"\x00\xff\n\n\x1f", string(valid), 0},
		"damaged":              {received(0, strings.Replace(signed, "H4sI", "AAAA", 1)), string(valid), 0},
		"no DNS":               {received(time.Hour, unserved), string(valid), exitTemporary},
		"no DNS for long":      {received(retryFor, unserved), string(valid), 0},
		"no DNS, no date":      {unserved, string(valid), 0},
		"no state":             {received(time.Minute, signed), noDir, exitTemporary},
		"no state for long":    {received(retryFor+time.Minute, signed), noDir, 0},
		"broken config":        {received(time.Minute, signed), "nonsense", exitTemporary},
		"broken config, later": {received(24*time.Hour, signed), "nonsense", 0},
		"of tomorrow":          {received(-24*time.Hour, signed), "nonsense", 0},
	} {
		r.write("c.toml", tc.config)
		if out, errs, code := r.run(tc.message, "--mail", "--record"); code != tc.code || out != "" || (errs == "") != (code == 0) {
			t.Errorf("%s: exit code %d, want %d; %q, %q", name, code, tc.code, out, errs)
		}
		if found := r.recorded(); found != nil {
			t.Errorf("%s: recorded %+v", name, found)
		}
	}
	r.write("c.toml", string(valid))
	if out, errs, code := r.run(received(0, signed), "--mail", "--record"); code != 0 || out+errs != "" || len(r.recorded()) != 1 {
		t.Errorf("exit code %d, %q, recorded %+v", code, out+errs, r.recorded())
	}
}
