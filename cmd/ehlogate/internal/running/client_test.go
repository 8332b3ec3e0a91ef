package running

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/server"
)

// answerWith listens on a unix socket, and answers each connection with reply and closes it; without a reply it keeps the
// connection open.
func answerWith(t *testing.T, reply string) (addr string) {
	t.Helper()
	addr = filepath.Join(t.TempDir(), "http")
	l, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go answerAll(l, reply)
	return addr
}

func answerAll(l net.Listener, reply string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = c.Read(make([]byte, 4096)) // the request
			_, _ = c.Write([]byte(reply))
			if reply == "" {
				_, _ = c.Read(make([]byte, 1)) // until the client gives up
			}
		}()
	}
}

// TestHostileReplies checks that what answers in place of the daemon costs a command neither time nor memory.
func TestHostileReplies(t *testing.T) {
	const ok = "HTTP/1.0 200 OK\r\n\r\n"
	for reply, want := range map[string]string{
		"":                             "timeout",
		"220 mail.example ESMTP\r\n":   "malformed HTTP",
		ok:                             "another program",
		ok + "<html>":                  "another program",
		ok + "{}":                      "another program",
		ok + `{"daemon": {"pid": "x"}`: "another program",
		"HTTP/1.0 404 Not Found\r\n\r\n404 page not found":                                                    "404 Not Found: another program",
		"HTTP/1.0 503 Unavailable\r\n\r\n{\"error\": \"the file is \\u001b[31mnot open\"}":                    `(503 Unavailable: the file is \x1b[31mnot open)`,
		"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n{\"daemon\": {}}":                         "302 Found",
		ok + `{"daemon": {"config": {"file": "/other.toml"}}}`:                                                "uses /other.toml",
		ok + `{"daemon": {"config": {}}}`:                                                                     "uses the built-in defaults",
		ok + `{"daemon": {"config": {"file": "/c.toml"}}}` + strings.Repeat(" ", maxReply):                    "longer than",
		"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n{\"daemon\": {\"config\": {\"file\": \"/c.toml\"}}}":  "closed before",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + strings.Repeat("x", 99): "closed before",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1<<16)+"\r\n", 300):                  "header",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, _, err := Daemon{File: "/c.toml", Addrs: []string{answerWith(t, reply)}}.Get(ctx, "/x", new(struct{}))
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: got %v, want %s", reply, err, want)
		}
	}
}

// TestGet checks which of several addresses counts, and what is said of those that do not answer.
func TestGet(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "c.toml"), filepath.Join(dir, "link.toml")
	if err := errors.Join(os.WriteFile(real, nil, 0o644), os.Symlink("c.toml", link)); err != nil {
		t.Fatal(err)
	}
	reply := func(file string) string {
		return fmt.Sprintf("HTTP/1.0 200 OK\r\n\r\n{\"daemon\": {\"pid\": 7, \"config\": {\"file\": %q}}, \"more\": 3}", file)
	}
	good, other := answerWith(t, reply(real)), answerWith(t, reply("/other.toml"))
	missing := filepath.Join(dir, "missing")
	for _, file := range []string{real, link} {
		var more struct{ More int }
		status, addr, err := Daemon{File: file, Addrs: []string{missing, other, good}}.Get(t.Context(), "/x", &more)
		if err != nil || status.PID != 7 || addr != good || more.More != 3 {
			t.Errorf("got %+v from %s, %+v, %v", status, addr, more, err)
		}
	}
	_, _, err := Daemon{File: "/c.toml", Addrs: []string{missing, good}, Off: true}.Get(t.Context(), "/x", new(struct{}))
	want := fmt.Sprintf(`no daemon with this config answers at %s (no such socket) or %s (the daemon there uses %s); [listen] has no http address: `+
		`add http = ["127.0.0.1:10045"], and restart the daemon`, missing, good, real)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestAddresses checks that a daemon is found at each kind of address at which one can listen.
func TestAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::1%lo]:0", "[::ffff:127.0.0.1]:0", ":0", "0.0.0.0:0", "[::]:0"} {
		l, err := server.Listen(addr, server.SocketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		reply := "HTTP/1.0 200 OK\r\n\r\n{\"daemon\": {\"config\": {\"file\": \"/c.toml\"}}}"
		go answerAll(l, reply)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		at := strings.TrimSuffix(addr, "0") + port
		if _, _, err := (Daemon{File: "/c.toml", Addrs: []string{at}}).Get(t.Context(), "/x", new(struct{})); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		l.Close()
	}
}

// TestFind checks where the daemon of a config is looked for.
func TestFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	for text, want := range map[string]string{
		"# nothing\n": "[127.0.0.1:10045] false",
		"[listen]\nmemcache = [\"/m\"]\nhttp = [\"/h\", \"127.0.0.1:1\"]\n":                 "[/h 127.0.0.1:1 127.0.0.1:10045] false",
		"[listen]\nmemcache = [\"/m\"]\n":                                                   "[127.0.0.1:10045] true",
		"bad = 1\n[listen]\nmemcache = [\"/m\"]\nhttp = [\"/h\"]\n":                         "[/h 127.0.0.1:10045] false",
		"[dns]\nwait = \"1s\"\n[listen]\nmemcache = [\"/m\"]\nhttp=[\"127.0.0.1:10045\"]\n": "[127.0.0.1:10045] false",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path)
		if err != nil {
			cfg = nil
		}
		d := Find(path, cfg)
		if got := fmt.Sprint(d.Addrs, " ", d.Off); got != want || d.File != path {
			t.Errorf("%s: got %s %s, want %s", text, d.File, got, want)
		}
	}
	if d := Find("", config.Defaults()); d.File != "" {
		t.Errorf("without a config: got %+v", d)
	}
	if d := Find("", nil); d.File != config.DefaultFile {
		t.Errorf("without a usable config: got %+v", d)
	}
}

// TestDifferences checks each way in which a daemon may differ from the files on disk.
func TestDifferences(t *testing.T) {
	loaded := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	disk := &config.Config{Digest: "new"}
	for _, tc := range []struct {
		what string
		s    Status
		cfg  *config.Config
		err  error
		want []string
	}{
		{"the same", Status{Config: ConfigStatus{Digest: "new"}}, disk, nil, nil},
		{"undone after it was refused", Status{Config: ConfigStatus{Digest: "new", Error: "c.toml:1:1: bad"}}, disk, nil, nil},
		{"not reloaded", Status{Config: ConfigStatus{Digest: "old"}}, disk, nil, []string{"the config changed after the daemon loaded it 2026-11-28T09:00:00Z"}},
		{"refused", Status{Config: ConfigStatus{Digest: "old", Error: "c.toml:1:1: bad"}}, disk, nil, []string{"refused the config at the last reload, and keeps the one that it loaded 2026-11-28T09:00:00Z: c.toml:1:1: bad"}},
		{"unusable", Status{}, nil, errors.New("c.toml:2:1: bad"), []string{"cannot be used, so the daemon keeps the one that it loaded 2026-11-28T09:00:00Z: c.toml:2:1: bad"}},
		{"unreadable for this user", Status{}, nil, fmt.Errorf("c.toml: %w", os.ErrPermission), nil},
		{"lists", Status{Config: ConfigStatus{Digest: "new"}, Lists: []ListFault{{"a", &loaded, "a.list:1:1: bad"}, {"b", nil, "b.list: no such file"}}}, disk, nil,
			[]string{`list "a": a.list:1:1: bad; the daemon keeps the version that it loaded 2026-11-28T09:00:00Z`, `list "b": b.list: no such file; the list is unavailable`}},
		{"version", Status{Version: "1", Config: ConfigStatus{Digest: "new"}}, disk, nil, []string{"the daemon has version 1, and this program 2"}},
	} {
		tc.s.Config.Loaded = loaded
		if tc.s.Version == "" {
			tc.s.Version = "2"
		}
		got := tc.s.Differences(tc.cfg, tc.err, "2")
		if len(got) != len(tc.want) {
			t.Errorf("%s: got %q, want %q", tc.what, got, tc.want)
			continue
		}
		for i, d := range got {
			if !strings.Contains(d.What, tc.want[i]) || d.Do == "" {
				t.Errorf("%s: got %q, want %q", tc.what, d, tc.want[i])
			}
		}
	}
}
