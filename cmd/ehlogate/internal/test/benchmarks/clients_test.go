package benchmarks

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"

	"go4.org/netipx"

	"ehlogate/lists/test/listtest"
)

// client is one that a mail server asks about.
type client struct {
	addr  netip.Addr
	entry string // that suppresses it, as it stands in the list; empty if none does
}

// million is a list of a million entries, and clients of which every second one
// is suppressed by it; thousands is a short one. They are made once.
var (
	million   = sync.OnceValues(func() (string, []client) { return sampled(pick(1_000_000, 2_000)) })
	thousands = sync.OnceValues(func() (string, []client) { return sampled(2_000) })
)

func sampled(size int) (list string, clients []client) {
	entries := listtest.Mixed(size)
	n := pick(1<<16, 1<<10)
	var held, free []client
	for _, c := range judge(entries, listtest.Clients(entries, 3*n)) {
		if c.entry != "" {
			held = append(held, c)
		} else {
			free = append(free, c)
		}
	}
	for i := range n / 2 {
		clients = append(clients, held[i], free[i])
	}
	return listtest.Format(entries), clients
}

// judge says of each address which entry suppresses it, by the rule for lists
// and by another way than ehlogate's: it walks through both in the order of
// addresses, and keeps at hand the entries that hold the present one. The
// result is in the order of addrs.
func judge(entries []listtest.Entry, addrs []netip.Addr) []client {
	byFrom := make([]int, len(entries))
	for i := range byFrom {
		byFrom[i] = i
	}
	slices.SortFunc(byFrom, func(a, b int) int { return cmp.Or(entries[a].From.Compare(entries[b].From), cmp.Compare(a, b)) })
	order := make([]int, len(addrs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return addrs[a].Compare(addrs[b]) })

	out := make([]client, len(addrs))
	var around []int // entries that begin before the present address and have not ended
	for _, q := range order {
		addr := addrs[q]
		for len(byFrom) > 0 && entries[byFrom[0]].From.Compare(addr) <= 0 {
			around, byFrom = append(around, byFrom[0]), byFrom[1:]
		}
		around = slices.DeleteFunc(around, func(i int) bool { return entries[i].To.Less(addr) })
		out[q].addr = addr
		if len(around) == 0 {
			continue
		}
		// The smallest span wins; of equal ones an exception, else the later line.
		best := slices.MinFunc(around, func(a, b int) int {
			x, y := entries[a], entries[b]
			if c := cmp.Compare(timeSpan(x), timeSpan(y)); c != 0 {
				return c
			}
			if x.Exception != y.Exception {
				return map[bool]int{true: -1, false: 1}[x.Exception]
			}
			return cmp.Compare(b, a)
		})
		if !entries[best].Exception {
			out[q].entry = spelling(entries[best])
		}
	}
	return out
}

// spelling is how ehlogate writes an entry: a range that is a prefix as one.
func spelling(e listtest.Entry) string {
	if p, ok := netipx.IPRangeFrom(e.From, e.To).Prefix(); ok && e.Bits < 0 {
		return p.String()
	}
	return e.String()
}

// timeSpan is how much an entry covers; those of IPv4 and of IPv6 are never
// compared.
func timeSpan(e listtest.Entry) float64 {
	if e.From.Is6() {
		return math.Ldexp(1, 128-e.Bits)
	}
	var n float64
	from, to := e.From.As4(), e.To.As4()
	for i := range from {
		n = 256*n + float64(to[i]) - float64(from[i])
	}
	return n + 1
}

// exchange is a request and the one right reply to it.
type exchange struct{ request, reply []byte }

// exchanges puts clients into the words of a protocol.
func exchanges(protocol string, clients []client) []exchange {
	out := make([]exchange, len(clients))
	for i, c := range clients {
		request, suppress, offer := words(protocol, i, c)
		if c.entry == "" {
			suppress = offer
		}
		out[i] = exchange{[]byte(request), []byte(suppress)}
	}
	return out
}

func words(protocol string, i int, c client) (request, suppress, offer string) {
	switch protocol {
	case "memcache":
		return fmt.Sprintf("get starttls:%s\r\n", c.addr), fmt.Sprintf("VALUE starttls:%s 0 8\r\nstarttls\r\nEND\r\n", c.addr), "END\r\n"
	case "socketmap":
		data := "starttls " + c.addr.String()
		return fmt.Sprintf("%d:%s,", len(data), data), "11:OK starttls,", "9:NOTFOUND ,"
	case "tcp_table":
		return fmt.Sprintf("get %s\n", c.addr), "200 starttls\n", "500 offer\n"
	case "policy":
		return policyRequest(i, c), fmt.Sprintf("action=INFO starttls=suppress list=deny entry=%s\n\n", c.entry), "action=DUNNO\n\n"
	}
	panic("no words for " + protocol)
}

// policyRequest is what Postfix 3.7 asks at RCPT, of a session of its own.
func policyRequest(i int, c client) string {
	return fmt.Sprintf(`request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=%s
client_name=unknown
client_port=%d
reverse_client_name=unknown
server_address=127.0.0.1
server_port=25
helo_name=mail.example
sender=a@example
recipient=b@mta.test
recipient_count=0
queue_id=
instance=1a2b.65000000.%x.0
size=0
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=0
policy_context=

`, c.addr, 1024+i%60000, i)
}

// echoed is what an echo of ours says: the same requests, and two constant
// replies by turns, that are as long as the average suppress and offer reply.
func echoed(ours []exchange) (theirs []exchange, replies [2]string) {
	for turn := range replies {
		total, n := 0, 0
		for i := turn; i < len(ours); i += 2 {
			total, n = total+len(ours[i].reply), n+1
		}
		for i := turn; i < len(ours); i += 2 { // the one with the nearest length
			if r := string(ours[i].reply); replies[turn] == "" || distance(len(r), total/n) < distance(len(replies[turn]), total/n) {
				replies[turn] = r
			}
		}
	}
	for i, x := range ours {
		theirs = append(theirs, exchange{x.request, []byte(replies[i%2])})
	}
	return theirs, replies
}

func distance(a, b int) int { return max(a-b, b-a) }
