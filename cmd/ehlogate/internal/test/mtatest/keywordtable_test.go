package mtatest_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists"
	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/testenv"
)

// TestKeywordTables has a real Postfix use tables of EHLO keywords, and ehlogate read them as lists: it matches the clients
// that are not offered STARTTLS there, and no others.
func TestKeywordTables(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	values := []string{"chunking", "starttls", "STARTTLS, Chunking", "silent-discard, dsn", "silent-discard,starttls", "pipelining  starttls\tdsn", "limits, starttls", "auth", "starttlss", "no-such-keyword", "8bitmime, , starttls"}
	var cidr, access strings.Builder
	var clients []string
	for i, value := range values {
		client := fmt.Sprintf("127.20.%d.1", i)
		fmt.Fprintf(&cidr, "127.20.%d.0/24 %s\n", i, value)
		fmt.Fprintf(&access, "%s %s\n127.21.%d %[2]s\n", client, value, i)
		clients = append(clients, client, fmt.Sprintf("127.21.%d.1", i))
	}
	cidr.WriteString("127.21.1.0/24 starttls\n127.21.1.1/24 chunking\n127.21.2.0/24 chunking\n127.21.2.1 starttls\n127.21.0.0/16 starttls\n")
	dir := tempDir(t)
	layout := mtatest.LayoutOf(dir)
	tables := map[feed.Format]string{feed.PostfixCIDR: "cidr", feed.PostfixAccess: "texthash"}
	texts := map[string]string{"cidr": cidr.String(), "texthash": access.String()}
	var services []mtatest.Service
	for _, kind := range tables {
		services = append(services, mtatest.Service{Name: kind, Options: map[string]string{
			"smtpd_discard_ehlo_keyword_address_maps": kind + ":" + filepath.Join(layout.Config, kind)}})
	}
	p := startPostfix(t, mtatest.PostfixConfig{Dir: dir, Services: services, Files: texts})
	for format, kind := range tables {
		list, err := listfile.New(listfile.Spec{Patterns: []string{filepath.Join(layout.Config, kind)}, Format: format, Rules: listfile.Rules{Action: lists.Suppress}}, time.Now).Load()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[bool]int{}
		for _, client := range clients {
			r := ehlo(t, p.Addr(kind), client)
			matched := list.Lookup(lists.Client{Addr: netip.MustParseAddr(client)}).Status == lists.Matched
			if matched == r.Offers("STARTTLS") {
				t.Errorf("%s: %s: matched %v, Postfix says %v\n%s", kind, client, matched, r, texts[kind])
			}
			seen[matched]++
		}
		if seen[true] < 5 || seen[false] < 5 {
			t.Errorf("%s: %v: too few of a kind", kind, seen)
		}
	}
}
