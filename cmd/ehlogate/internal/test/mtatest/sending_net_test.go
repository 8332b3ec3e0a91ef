package mtatest_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

// The addresses of examples/sending-network: machines inside, the gateway, and a server outside. No list has customer40.
const (
	bot, unknownMachine, trustedMachine, customer40 = "192.0.2.10", "192.0.2.20", "192.0.2.30", "192.0.2.40"
	bot6, unknownMachine6, trustedMachine6          = "2001:db8:1::10", "2001:db8:1::20", "2001:db8:1::30"
	gatewayInside, gatewayOutside                   = "192.0.2.1", "198.51.100.2"
	outsideMX, outsideMX6                           = "198.51.100.25", "2001:db8:2::25"

	gatewayHost, outsideHost = "gateway.example.net", "mx.outside.test"
)

// sending is a network with a gateway made of the files of examples/sending-network, and a server outside.
type sending struct {
	inside, gateway, outside *netns.Namespace
	postfix                  *mtatest.Postfix // the gateway's
	mx                       *mtatest.Postfix
	daemon                   *mtatest.Daemon // ehlogate, at the gateway
	dir                      string          // of its config, its lists and the rules
	inspector                *inspector
}

// newSending builds the network and starts everything in it; it lives as long as the test.
func newSending(t *testing.T) *sending {
	t.Helper()
	s := &sending{dir: tempDir(t), inspector: &inspector{}}
	s.joinNetworks(t)
	s.startMX(t)
	s.startDNS(t)
	s.startGateway(t)
	for _, step := range s.unitCommands(t, "ehlogate-port25.service", "ExecStart") {
		s.mustRun(t, step...)
	}
	return s
}

// joinNetworks joins the three networks and assigns all addresses.
func (s *sending) joinNetworks(t *testing.T) {
	t.Helper()
	for _, n := range []**netns.Namespace{&s.inside, &s.gateway, &s.outside} {
		ns, err := netns.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		*n = ns
	}
	for _, err := range []error{netns.Link(t.Context(), s.gateway, "eth1", s.inside, "eth0"), netns.Link(t.Context(), s.gateway, "eth0", s.outside, "eth0")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for n, lines := range map[*netns.Namespace]string{
		s.inside: "addr add 192.0.2.40/24 dev eth0\naddr add 192.0.2.10/24 dev eth0\naddr add 192.0.2.20/24 dev eth0\naddr add 192.0.2.30/24 dev eth0\n" +
			"addr add 2001:db8:1::10/64 dev eth0 nodad\naddr add 2001:db8:1::20/64 dev eth0 nodad\naddr add 2001:db8:1::30/64 dev eth0 nodad\n" +
			"route add 0.0.0.0/0 via 192.0.2.1\nroute add ::/0 via 2001:db8:1::1\n",
		s.gateway: "addr add 192.0.2.1/24 dev eth1\naddr add 2001:db8:1::1/64 dev eth1 nodad\naddr add 198.51.100.2/24 dev eth0\n" +
			"addr add 2001:db8:2::2/64 dev eth0 nodad\nroute add 0.0.0.0/0 via 198.51.100.25\nroute add ::/0 via 2001:db8:2::25\n",
		s.outside: "addr add 198.51.100.25/24 dev eth0\naddr add 2001:db8:2::25/64 dev eth0 nodad\nroute add 0.0.0.0/0 via 198.51.100.2\nroute add ::/0 via 2001:db8:2::2\n",
	} {
		if _, err := n.Pipe(t.Context(), lines, "ip", "-batch", "-"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.gateway.Run(t.Context(), "sysctl", "-q", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"); err != nil {
		t.Fatal(err)
	}
}

// startMX starts the server outside, which takes mail only for you@ and has a submission service.
func (s *sending) startMX(t *testing.T) {
	t.Helper()
	s.mx = startPostfix(t, mtatest.PostfixConfig{
		Dir: tempDir(t), Host: outsideHost, Network: s.outside,
		Main: "inet_interfaces = all\nsmtpd_tls_received_header = yes\nvirtual_mailbox_domains = outside.test, forged.test, plain.test\n" +
			"virtual_mailbox_maps = regexp:{ { /^you@/ box/ } }\n",
		Master: "25 inet n - n - - smtpd\n587 inet n - n - - smtpd\n465 inet n - n - - smtpd\n",
	})
}

// startDNS starts the gateway's resolver, which validates. outside.test publishes the key of the server, forged.test another
// key, and plain.test is not signed.
func (s *sending) startDNS(t *testing.T) {
	t.Helper()
	key := sha256.Sum256(certificate(t, s.mx).RawSubjectPublicKeyInfo)
	other := sha256.Sum256(key[:])
	text := func(tlsa string) string {
		return fmt.Sprintf("@ MX 10 mx\nmx A %s\nmx AAAA %s\n%s", outsideMX, outsideMX6, tlsa)
	}
	err := s.gateway.Do(func() error {
		served := dnstest.StartServer(t, dnstest.NewSignedZone(t, "outside.test", text(fmt.Sprintf("_25._tcp.mx TLSA 3 1 1 %x\n", key))),
			dnstest.NewSignedZone(t, "forged.test", text(fmt.Sprintf("_25._tcp.mx TLSA 3 1 1 %x\n", other))), dnstest.NewZone(t, "plain.test", text("")))
		dnstest.StartUnboundWith(t, "interface: 127.0.0.1@53\n", served.Upstreams()...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// startGateway starts ehlogate, a content filter and the gateway's Postfix.
func (s *sending) startGateway(t *testing.T) {
	t.Helper()
	milter := s.inspector.listen(t, s.gateway)
	layout := mtatest.LayoutOf(filepath.Join(s.dir, "postfix"))
	main := s.localize(t, example(t, "sending-network/main.cf"), map[string]string{
		"/etc/postfix/gateway-key.pem": layout.Config + "/key.pem", "/etc/postfix/gateway-cert.pem": layout.Config + "/cert.pem",
		// A policy as an MTA-STS policy server answers it, and the authority that signed for the server outside.
		"\n#smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix\n": "\nsmtp_tls_policy_maps = inline:{ { plain.test = secure match=" + outsideHost + " } }\n",
		"/etc/ssl/certs/ca-certificates.crt":                                s.mx.Config + "/cert.pem",
		"\nsmtpd_client_message_rate_limit = 100\n":                         "\nsmtpd_client_message_rate_limit = 10000\n", "\n#inspection = { inet:127.0.0.1:11332": "\ninspection = { inet:" + milter, "\ninspection =\n": "\n",
	})
	s.postfix = startPostfix(t, mtatest.PostfixConfig{
		Dir: filepath.Join(s.dir, "postfix"), Host: gatewayHost, Network: s.gateway, Resolver: "nameserver 127.0.0.1\n",
		Main:   main + "virtual_mailbox_domains =\nvirtual_mailbox_maps =\nsmtpd_tls_cert_file =\nsmtpd_tls_key_file =\n",
		Master: example(t, "sending-network/master.cf") + "smtp unix - - n - - smtp\nscache unix - - n - 1 scache\n",
		Files:  map[string]string{"ehlogate.cf": example(t, "postfix/ehlogate.cf")},
	})
	path, err := mtatest.Program(testenv.RacePrograms)
	if err != nil {
		t.Fatal(err)
	}
	sockets := filepath.Join(layout.Queue, "ehlogate")
	if err := os.Mkdir(sockets, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(t, "ehlogate.toml", example(t, "sending-network/ehlogate.toml")+fmt.Sprintf(
		"[listen]\nmemcache = [%q]\npolicy = [%q]\nsocket_group = \"postfix\"\n", sockets+"/memcache", sockets+"/policy"))
	for _, list := range []string{"lists/trusted.list", "lists/denied.list"} {
		s.write(t, list, example(t, "sending-network/"+list))
	}
	s.write(t, "port25.nft", s.localize(t, example(t, "sending-network/port25.nft"), map[string]string{"\ninclude \"/run/ehlogate-port25/": "\ninclude \"" + s.dir + "/"}))
	s.daemon = mtatest.NewDaemon(s.dir, "ehlogate.log", path, mtatest.ReadyDial(sockets+"/memcache", sockets+"/policy"), "serve", "-c", filepath.Join(s.dir, "ehlogate.toml"))
	t.Cleanup(func() { s.daemon.Finish(t) })
	if err := s.startDaemon(t); err != nil {
		t.Fatal(err)
	}
}

func (s *sending) startDaemon(t *testing.T) error {
	return s.gateway.Do(func() error { return s.daemon.Start(soon(t)) })
}

// localize replaces paths and ports in an example. The example must have each of them once.
func (s *sending) localize(t *testing.T, text string, others map[string]string) string {
	t.Helper()
	for documented, other := range others {
		if strings.Count(text, documented) != 1 {
			t.Fatalf("want %q once in\n%s", documented, text)
		}
		text = strings.Replace(text, documented, other, 1)
	}
	return text
}

// write replaces a file as an editor does.
func (s *sending) write(t *testing.T, name, text string) { (&daemon{dir: s.dir}).write(t, name, text) }

// unitCommands returns the command lines of a systemd unit, with the paths of this network.
func (s *sending) unitCommands(t *testing.T, unit, key string) (lines [][]string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+key+`=-?(.*)$`).FindAllStringSubmatch(example(t, "sending-network/systemd/"+unit), -1) {
		line := strings.NewReplacer("/usr/bin/ehlogate", s.daemon.Path, "/usr/local/sbin/check-rules", checkRules(t), "/etc/ehlogate", s.dir, "/run/ehlogate-port25", s.dir).Replace(m[1])
		lines = append(lines, strings.Fields(line))
	}
	if len(lines) == 0 {
		t.Fatalf("no %s in %s", key, unit)
	}
	return lines
}

// updateSets does what the timer does.
func (s *sending) updateSets(t *testing.T) {
	t.Helper()
	for _, line := range s.unitCommands(t, "ehlogate-trusted.service", "ExecStart") {
		s.mustRun(t, line...)
	}
}

// mustRun runs a program at the gateway, which must succeed.
func (s *sending) mustRun(t *testing.T, line ...string) string {
	t.Helper()
	out, err := s.gateway.Run(soon(t), line[0], line[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// connect connects from an address in one of the networks.
func (s *sending) connect(t *testing.T, from *netns.Namespace, source, addr string) (c *mtatest.SMTP, err error) {
	t.Helper()
	err = from.Do(func() (err error) {
		c, err = mtatest.Dial(soon(t), addr, source)
		return err
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// certificate returns the certificate that a Postfix shows.
func certificate(t *testing.T, p *mtatest.Postfix) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.Config, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// gtube is the test pattern of spam filters: they refuse every message that has it.
const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

// inspector is a milter that reads all bodies and refuses those with the test pattern.
type inspector struct {
	mu   sync.Mutex
	seen []string
}

// listen starts it in a network and returns its address.
func (i *inspector) listen(t *testing.T, n *netns.Namespace) string {
	t.Helper()
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &gomilter.Server{NewMilter: func() gomilter.Milter { return &inspection{inspector: i} }}
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().String()
}

// hasSeen reports whether a text was in a body that it read.
func (i *inspector) hasSeen(text string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.ContainsFunc(i.seen, func(body string) bool { return strings.Contains(body, text) })
}

// inspection is one session of the inspector.
type inspection struct {
	gomilter.NoOpMilter
	*inspector
	body strings.Builder
}

func (i *inspection) BodyChunk(chunk []byte, _ *gomilter.Modifier) (gomilter.Response, error) {
	i.body.Write(chunk)
	return gomilter.RespContinue, nil
}

func (i *inspection) Body(*gomilter.Modifier) (gomilter.Response, error) {
	body := i.body.String()
	i.body.Reset()
	i.mu.Lock()
	i.seen = append(i.seen, body)
	i.mu.Unlock()
	if strings.Contains(body, gtube) {
		return gomilter.NewResponseStr('y', "550 5.7.1 this is spam"), nil
	}
	return gomilter.RespAccept, nil
}
