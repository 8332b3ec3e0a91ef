package explain

import (
	"fmt"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/logs"
)

// describeLogs returns what the logs of mail servers tell of a client, in one or two lines.
func describeLogs(r logs.ClientReport) (lines []string) {
	if !r.Known {
		return []string{fmt.Sprintf("no session on port 25 since %s (one counts a minute after its end)", formatTime(r.Since))}
	}
	text := fmt.Sprintf("%s since %s, the last %s; %s accepted", count(r.TLS["ok"]+r.TLS["failed"]+r.TLS["none"]+r.TLS["not-offered"], "session"),
		formatTime(r.FirstSeen), formatTime(r.LastSeen), count(r.Messages, "message"))
	lines = append(lines, text)
	var tls []string
	for _, became := range []struct{ key, words string }{
		{"ok", "worked in"}, {"failed", "failed in"}, {"none", "was not used in"}, {"not-offered", "was not offered in"},
	} {
		if n := r.TLS[became.key]; n > 0 {
			tls = append(tls, fmt.Sprintf("%s %d", became.words, n))
		}
	}
	text = "TLS " + strings.Join(tls, ", ")
	var ways []string
	for _, f := range r.Failures {
		ways = append(ways, fmt.Sprintf("%s x%d (%s)", f.Class, f.Count, f.Outcome))
	}
	if r.Others > 0 {
		ways = append(ways, fmt.Sprintf("others x%d", r.Others))
	}
	if len(ways) > 0 {
		text += ": " + strings.Join(ways, ", ")
	}
	return append(lines, text)
}

func formatTime(t time.Time) string { return t.Local().Format(time.RFC3339) }

func count[T uint32 | uint64](n T, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
