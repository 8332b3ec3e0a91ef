package page

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ehlogate/lists"
)

// What a list or a config that observes would hide is shown beside what is hidden, with note and client, as text.
func TestObserved(t *testing.T) {
	const trial = "[[list]]\nname = \"trial\"\naction = \"suppress\"\nmode = \"observe\"\nfiles = [\"trial.list\"]\n"
	const deny = "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"
	row := func(line, note, client string) string {
		return fmt.Sprintf(`.list:%s</td><td>%s</td><td class="code">%s</td><td class="number">2</td><td class="number">2</td>`, line, note, client)
	}
	denied, tried := row("1", "a &lt;script&gt;", "192.0.2.1"), row("2", `https://f.example/?key=***`, "192.0.2.9")
	const hidden, would = `<h2 id="suppressed-title">`, `<h2 id="observed-title">`
	for _, tc := range []struct {
		conf    string
		decide  bool
		want    []string
		without []string
	}{
		{deny, true, []string{"hidden in 2 sessions in the last hour", hidden, denied}, []string{would}},
		{deny + trial, true, []string{denied, would, tried, `This is what mode = &#34;observe&#34; kept`}, nil},
		{deny + trial, false, []string{"from no client in the last hour", would, "No list with mode = &#34;observe&#34; would"}, nil},
		{"mode = \"observe\"\n" + deny, true, []string{"from no client in the last hour", would, denied, "once what would be hidden (below)"}, nil},
		{"mode = \"observe\"\n" + deny, false, []string{would, "hidden from no client.", "once what would be hidden (below)"}, nil},
	} {
		d := startDaemon(t, tc.conf, map[string]string{"deny.list": "192.0.2.1 # a <script>\n", "trial.list": "# x\n192.0.2.9 # https://f.example/?key=0123456789abcdef0123\n"})
		for range 2 {
			for _, addr := range []string{"192.0.2.1", "192.0.2.9", "192.0.2.10"} {
				if tc.decide {
					d.recorder.LoggedDecider("memcache", d.manager).Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr(addr)})
				}
			}
		}
		body := d.get("/").Body.String()
		for _, want := range tc.want {
			if !strings.Contains(body, want) {
				t.Errorf("%q: no %q in %s", tc.conf, want, body)
			}
		}
		for _, other := range append(tc.without, "<script") {
			if strings.Contains(body, other) {
				t.Errorf("%q: %q is in %s", tc.conf, other, body)
			}
		}
	}
}
