package running

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestHostileHealth checks that a reply to /healthz that is not the daemon's is no good news. The same reply is sent to
// each request.
func TestHostileHealth(t *testing.T) {
	const daemon = `"daemon": {"config": {"file": "/c.toml"}}`
	reply := func(body string) string { return "HTTP/1.0 200 OK\r\n\r\n{" + daemon + body + "}" }
	for _, tc := range []struct{ reply, word, want string }{
		{reply(`, "status": "ok"`), "ok", ""},
		{reply(`, "status": "degraded", "reasons": ["a", "b"]`), "degraded", ""},
		{reply(``), "", "not the reply of this version"},
		{reply(`, "status": 1`), "", "not the reply of this version"},
		{reply(`, "status": "ok", "reasons": "a"`), "", "not the reply of this version"},
		{"HTTP/1.0 200 OK\r\n\r\n{", "", "another program"},
	} {
		h, err := Daemon{File: "/c.toml", Addrs: []string{answerWith(t, tc.reply)}}.Health(t.Context(), nil)
		if tc.want == "" && (err != nil || h.Word != tc.word) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q: got %+v, %v", tc.reply, h, err)
		}
	}
	for reply, want := range map[string]string{
		"VERSION ehlogate\r\n":        "",
		"VERSION 1.6.18\r\n":          "another program",
		"VERSION ehlogate":            "closed before",
		strings.Repeat("x", 1<<20):    "closed before",
		"ERROR\r\nVERSION ehlogate\n": "another program",
		"":                            "timeout",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		d := Daemon{File: "/c.toml", Addrs: []string{t.TempDir() + "/none"}, Off: true}
		h, err := d.Health(ctx, []string{answerWith(t, reply)})
		cancel()
		if want == "" && (err != nil || h.Word != "" || h.Addr == "") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: got %+v, %v", reply, h, err)
		}
		if _, err := d.Health(t.Context(), nil); !errors.Is(err, ErrNoHealth) {
			t.Errorf("without an address: got %v", err)
		}
	}
}
