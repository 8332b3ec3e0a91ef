package dnsclient

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSystemServers(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"nameserver 192.0.2.1\n", "[192.0.2.1:53]"},
		{"# nameserver 192.0.2.9\n;nameserver 192.0.2.8\nsearch nameserver\noptions edns0\nnameserver\t 2001:db8::1 # x\nnameserver 127.0.0.53", "[[2001:db8::1]:53 127.0.0.53:53]"},
		{"nameserver fe80::1%lo\nnameserver ::ffff:192.0.2.1\n", "[[fe80::1%lo]:53 192.0.2.1:53]"},
		{"nameserver ns.example.org\nnameserver\nnameserver 192.0.2.1\n", "[192.0.2.1:53]"},
		{strings.Repeat("nameserver 192.0.2.1\n", 5), "[192.0.2.1:53 192.0.2.1:53 192.0.2.1:53]"},
		{"search example.org\n", ""},
		{"", ""},
	} {
		file := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := systemServers(file)
		if (err == nil) != (test.want != "") || err == nil && fmt.Sprint(got) != test.want {
			t.Errorf("%q: %v, %v", test.text, got, err)
		}
	}
	if _, err := systemServers(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestParseServer(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1":            "127.0.0.1:53",
		"127.0.0.1:5353":       "127.0.0.1:5353",
		"::1":                  "[::1]:53",
		"[::1]:53":             "[::1]:53",
		"fe80::1%eth0":         "[fe80::1%eth0]:53",
		"[fe80::1%eth0]:5353":  "[fe80::1%eth0]:5353",
		"::ffff:192.0.2.1":     "192.0.2.1:53",
		"[::ffff:192.0.2.1]:5": "192.0.2.1:5",
		"":                     "",
		"localhost":            "",
		"localhost:53":         "",
		"127.0.0.1:":           "",
		"127.0.0.1:0":          "",
		"127.0.0.1:65536":      "",
		"127.0.0.1:domain":     "",
		"127.0.0.01":           "",
		"[::1]":                "",
		":53":                  "",
		" 127.0.0.1":           "",
		"127.0.0.1/8":          "",
	} {
		got, err := ParseServer(s)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "127.0.0.1:5353") {
				t.Errorf("%q: %v, %v", s, got, err)
			}
		} else if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v; want %s", s, got, err, want)
		}
	}
}
