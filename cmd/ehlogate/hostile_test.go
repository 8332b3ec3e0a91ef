package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"ehlogate/lists/test/hostile"
)

// notable reports whether a list may have the text as a note: UTF-8 without ASCII control characters.
func notable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 && len(text) < 4000
}

// command runs a command and returns all that it prints.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	run(t.Context(), args, &out, &out)
	if err := hostile.Check(out.String()); err != nil {
		t.Errorf("%q: %v", args, err)
	}
	return out.String()
}

// TestHostileText drives texts of strangers through each place that shows them: as notes of a list, through the daemon and
// the commands; as mistakes in a list and a config; as arguments.
func TestHostileText(t *testing.T) {
	var list strings.Builder
	var notes []string
	for _, text := range append(hostile.Texts, hostile.Readable...) {
		if notable(text) {
			notes = append(notes, strings.TrimSpace(text))
			fmt.Fprintf(&list, "192.0.2.%d # %s\n", len(notes), text)
		}
	}
	d := startDaemon(t, denyList, map[string]string{"deny.list": list.String()})
	config := filepath.Join(d.dir, "c.toml")
	for i, note := range notes {
		addr := fmt.Sprintf("192.0.2.%d", i+1)
		_, body := d.getHTTP("/api/v1/decision?addr=" + addr)
		for source, doc := range map[string]string{"API": body, "explain --json": command(t, "explain", addr, "-c", config, "--json"),
			"explain --disk --json": command(t, "explain", addr, "-c", config, "--json", "--disk")} {
			var r struct{ Decision struct{ Note string } }
			if err := json.Unmarshal([]byte(doc), &r); err != nil || r.Decision.Note != note {
				t.Errorf("%s: the note %+q became %+q, %v", source, note, r.Decision.Note, err)
			}
			if err := hostile.Check(doc); err != nil {
				t.Errorf("%s: %+q: %v", source, note, err)
			}
		}
		for _, disk := range []string{"--disk=false", "--disk"} {
			out := command(t, "explain", addr, "-c", config, disk)
			if hostile.Check(note) == nil && len(note) < 1000 && !strings.Contains(out, "  note      "+note+"\n") {
				t.Errorf("%s is not readable in\n%s", note, out)
			}
		}
	}
	for i, text := range append(hostile.Texts, hostile.Readable...) {
		path := filepath.Join(d.dir, fmt.Sprintf("bad%d", i))
		for suffix, content := range map[string]string{".list": "192.0.2.1 " + text + "\n" + text + "\nhelo:" + text + "\n", ".toml": fmt.Sprintf("default = %q\nalways_hide = [%q]\n", text, text),
			".key.toml": fmt.Sprintf("%q = 1\n# %s\n", text, text), ".raw.toml": text + "\n"} {
			if err := os.WriteFile(path+suffix, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if out := command(t, "check", path+suffix); out == "" || len(out) > 40<<10 {
				t.Errorf("check %s: %d bytes", suffix, len(out))
			}
		}
		command(t, "explain", "192.0.2.1", "-c", path+".toml")
		command(t, "doctor", "-c", path+".toml", "--no-connect")
		command(t, "serve", "-c", path+".key.toml")
		command(t, "explain", text)
		command(t, "explain", "192.0.2.1", "--helo", text, "-c", config)
		command(t, "check", text, "-c", config)
		command(t, text)
		short := url.QueryEscape(text[:min(len(text), 900)]) // within the longest header
		_, body := d.getHTTP("/api/v1/decision?addr=" + short + "&helo=" + short)
		_, unknown := d.getHTTP("/api/v1/decision?addr=::1&" + short + "=1")
		if err := hostile.Check(body + unknown); err != nil {
			t.Errorf("API: %q: %v", text, err)
		}
	}
}
