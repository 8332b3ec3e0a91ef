package mtatest_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

const repository = examples + "/.."

// clone copies the repository into the machine, as "git clone" does, with what is not committed yet.
func (m machine) clone(t *testing.T) {
	t.Helper()
	dir := filepath.Join(tempDir(t), "ehlogate")
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(soon(t), "sh", "-euc", `git clone --quiet --depth=1 "file://$0" "$1"
		cd "$0" && git ls-files -z --deleted | (cd "$1" && xargs -0 rm -f)
		git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' - |
			tar --null --no-recursion -T - -c | tar -x -C "$1"
		cp -R "$1" "$2"`, root, dir, filepath.Join(m.Files().Name(), "root/ehlogate"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// debianMail starts the machine's Postfix with the configuration that the package of Debian makes for it.
func (m machine) debianMail(t *testing.T) {
	t.Helper()
	read := func(name string) string {
		text, err := m.Files().ReadFile("usr/share/postfix/" + name)
		if err != nil {
			t.Fatalf("postfix is needed (run .ci/deps): %v", err)
		}
		return string(text)
	}
	m.write(t, map[string]string{
		"etc/postfix/main.cf":   read("main.cf.debian") + read("main.cf.tls"),
		"etc/postfix/master.cf": read("master.cf.dist"),
	})
	// But for the certificate, which ssl-cert makes.
	m.run(t, "postconf -X smtpd_tls_cert_file smtpd_tls_key_file")
	m.run(t, "postconf -e smtpd_tls_security_level=may smtpd_tls_cert_file=none myhostname=mx.mta.test mydestination= inet_protocols=all "+
		"alias_maps= alias_database=")
	m.run(t, "systemctl start postfix")
}

// shell runs a step in the machine, in the clone of the repository if there is one.
func (m machine) shell(text string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), packageLimit)
	defer cancel()
	env := []string{"-C", "/root", "GOPROXY=off", "GOTOOLCHAIN=local", "DPKG_DEB_COMPRESSOR_TYPE=none"} // it is unpacked at once
	if _, err := m.Files().Stat("root/ehlogate"); err == nil {
		env[1] = "/root/ehlogate"
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return "", err
	}
	where := strings.Fields(string(out))
	env = append(env, "GOMODCACHE="+where[1], "PATH="+where[0]+"/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-euc", text)
	return m.Run(ctx, "env", env...)
}

// runner runs steps, and knows which it ran.
type runner struct {
	machine
	ran map[string]bool
}

// steps runs steps word for word, or what stands for them in notRun. It returns what the last one printed.
func (r runner) steps(t *testing.T, steps ...step) (printed string) {
	t.Helper()
	for _, s := range steps {
		r.ran[s.String()] = true
		lines := strings.Split(s.text, "\n")
		for i, line := range lines {
			if n, ok := notRun[command(line)]; ok {
				lines[i] = n.instead
			}
		}
		text := strings.TrimSpace(strings.Join(lines, "\n"))
		if text == "" || slices.Contains(synopses, s.heading) {
			continue
		}
		var err error
		if printed, err = r.shell(text); err != nil && s.prints == nil {
			t.Fatalf("%s\n%v", s, err)
		}
		printed = varying.ReplaceAllString(printed, "")
		for _, line := range s.prints { // in this order
			_, rest, ok := strings.Cut(printed, varying.ReplaceAllString(strings.TrimSpace(line), "")+"\n")
			if printed = rest; !ok {
				out, _ := r.shell(text)
				t.Errorf("%s: does not print %q here:\n%s", s, line, out)
				break
			}
		}
		t.Logf("%s: %s", s.doc, strings.ReplaceAll(text, "\n", "; "))
	}
	return printed
}

// varying finds what a transcript shows of a daemon, and is different for each.
var varying = regexp.MustCompile(`pid \d+, version .*, config loaded [^)]*`)

// below returns the steps below a heading of a document.
func below(steps []step, heading string) (out []step) {
	for _, s := range steps {
		if s.heading == heading {
			out = append(out, s)
		}
	}
	return out
}

// mistake finds the line of a list that a transcript of check complains of.
var mistake = regexp.MustCompile(`(?m)^\d+ \| (.*)$`)

const (
	connectHeading = "## Connect Postfix"
	handHeading    = "## Install without the package"
	upgradeHeading = "## Upgrade"
	unhandHeading  = "## Remove what was installed by hand"
)

// documents are the pages whose commands are run, in the order in which an operator reads them.
var documents = []string{"README.md", "examples/README.md", "lists/README.md", "lists/LEARNING.md", "policyd/README.md", "milter/README.md", "cmd/ehlogate/README.md"}

// TestSteps takes every command from the documents, the examples and the manual, and runs it word for word, in order, on a
// fresh Debian with a Postfix: with the package, by hand, and on the gateway of a network. What is promised for the end is
// there then. A command that is not run by one of them, and is not in notRun with a reason, fails the test.
func TestSteps(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "debhelper", "Postfix", "nft")
	t.Parallel()
	var pages []step
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, markdown(name, string(text))...)
	}
	network := exampleSteps(t, "sending-network")
	manual := append(manualSteps(t, "ehlogate.8"), manualSteps(t, "ehlogate.list.5")...)
	others := exampleSteps(t, ".", "README.md", "container", "debian", "postfix-static", "rpm", "sending-network") // debian, rpm: of the build; container: containertest; TestInStep
	connect, byHand := below(pages, connectHeading), below(pages, handHeading)
	for _, s := range pages { // what follows the five steps
		if s.doc == "examples/README.md" && s.heading != handHeading && s.heading != upgradeHeading && s.heading != unhandHeading {
			connect = append(connect, s)
		}
	}
	if len(connect) < 8 || len(byHand) != 2 || len(network) < 8 || len(manual) < 8 || len(others) < 8 {
		t.Fatalf("%d, %d, %d, %d, %d steps: they are written otherwise now", len(connect), len(byHand), len(network), len(manual), len(others))
	}
	if _, err := packageTree(); err != nil { // so that what Go compiled is in its cache for all machines
		t.Fatal(err)
	}
	aboutSets := func(s step) bool { return strings.Contains(s.text, "nft") }
	var transcripts []step
	for _, s := range pages {
		if s.prints != nil {
			transcripts = append(transcripts, s)
		}
	}
	ran := [3]map[string]bool{{}, {}, {}}

	ok := t.Run("the steps", func(t *testing.T) {
		t.Run("with the package", func(t *testing.T) {
			t.Parallel()
			r := runner{startMachine(t), ran[0]}
			r.clone(t)
			r.debianMail(t)
			for _, s := range pages {
				if s.prints == nil && s.heading != handHeading && s.heading != unhandHeading {
					r.runStep(t, s)
				}
			}
			r.promised(t)
			r.steps(t, others...)
			if network := r.show(t, "PrivateNetwork"); network != "no" { // dns.conf
				t.Errorf("PrivateNetwork=%s", network)
			}
			r.answers(t, loopback("192.0.2.7"))
			for _, s := range manual {
				if !aboutSets(s) {
					r.steps(t, s)
				}
			}
			r.promised(t)
		})
		t.Run("by hand", func(t *testing.T) {
			t.Parallel()
			r := runner{startMachine(t), ran[1]}
			r.clone(t)
			r.debianMail(t)
			r.steps(t, byHand...)
			const list = "etc/ehlogate/lists/deny.list"
			shipped, err := r.Files().ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range transcripts {
				if found := mistake.FindStringSubmatch(strings.Join(s.prints, "\n")); found != nil {
					r.write(t, map[string]string{list: string(shipped) + found[1] + "\n"})
				}
				r.steps(t, s)
				r.write(t, map[string]string{list: string(shipped)})
			}
			for _, s := range connect {
				if s.heading != connectHeading || s.item != "1." { // which installs the package
					r.runStep(t, s)
				}
			}
			r.promised(t)
			const edited = "sha256sum /etc/ehlogate/ehlogate.toml /etc/ehlogate/lists/allow.list /etc/ehlogate/lists/deny.list"
			before := r.run(t, edited)
			r.steps(t, append(byHand[:1:1], below(pages, upgradeHeading)...)...)
			if after := r.run(t, edited); after != before {
				t.Errorf("the upgrade changed the config or a list:\n%s%s", before, after)
			}
			r.promised(t)
			r.steps(t, below(pages, unhandHeading)...)
			if left := r.run(t, "find /etc /usr /run /var/lib /var/spool -name *ehlogate* -not -path /etc/postfix/*"); left != "" {
				t.Errorf("there is still\n%s", left)
			}
		})
		t.Run("on a gateway", func(t *testing.T) {
			t.Parallel()
			r := runner{startMachine(t), ran[2]}
			r.gateway(t, network, slices.DeleteFunc(slices.Clone(manual), func(s step) bool { return !aboutSets(s) }))
		})
	})

	if !ok {
		return
	}
	used := map[string]bool{}
	for _, s := range slices.Concat(pages, others, network, manual) {
		if !ran[0][s.String()] && !ran[1][s.String()] && !ran[2][s.String()] {
			t.Errorf("no machine ran %s", s)
		}
		for line := range strings.Lines(s.text) {
			used[command(line)] = true
		}
	}
	for text := range notRun {
		if !used[text] {
			t.Errorf("%q is in notRun, and in no document", text)
		}
	}
}

// postmapPrints has what the postmap commands of a step print, by a word of the step.
var postmapPrints = []struct{ word, prints string }{
	{"esmtp_access", "dsn\ndsn\n"}, // the operator's table, and ehlogate
	{"ehlogate-submission.cf", "auth\n"},
	{"", "starttls\n"},
}

// runStep runs a step of README, and sees that Postfix is told what it promises.
func (r runner) runStep(t *testing.T, s step) {
	t.Helper()
	printed := r.steps(t, s)
	if !strings.Contains(s.text, "postmap -q") {
		return
	}
	want := postmapPrints[slices.IndexFunc(postmapPrints, func(p struct{ word, prints string }) bool { return strings.Contains(s.text, p.word) })].prints
	testenv.Eventually(t, "the answer to "+s.text, func() bool { // an edit counts soon
		if !strings.HasPrefix(printed, want) {
			printed = r.steps(t, s)
		}
		return strings.HasPrefix(printed, want)
	})
}

// promised edits the deny list, and plays sessions: what is denied sees no STARTTLS, also by its HELO name, and also when
// ehlogate is down.
func (r runner) promised(t *testing.T) {
	t.Helper()
	const list, table = "etc/ehlogate/lists/deny.list", "etc/postfix/ehlogate.cidr"
	text, err := r.Files().ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	defer r.write(t, map[string]string{list: string(text)})
	r.write(t, map[string]string{list: string(text) + denied + "\n"})
	testenv.Eventually(t, "the edit", func() bool { return r.sendQuestion(soon(t), queries(denied, true)[0]) == nil })
	want := map[string]bool{denied: false, unlisted: true}
	r.offers(t, throughCache, want)
	r.run(t, "systemctl start ehlogate-export.service") // the timer has a minute
	if got, err := r.Files().ReadFile(table); err != nil || !strings.Contains(string(got), denied+"/32\tstarttls\n") {
		t.Errorf("%s: %v\n%s", table, err, got)
	}
	if state := strings.TrimSpace(r.run(t, "systemctl is-active ehlogate-export.timer")); state != "active" {
		t.Errorf("the timer is %s", state)
	}
	r.write(t, map[string]string{list: string(text) + denied + "\nhelo:ylmf-pc\n"})
	hidden := func() bool {
		t.Helper()
		var offered bool
		err := r.Network().Do(func() error {
			s, err := mtatest.Session(soon(t), throughCache, unlisted, "ylmf-pc")
			offered = s.Reply.Offers("STARTTLS")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return !offered
	}
	testenv.Eventually(t, "a HELO name hides STARTTLS", hidden)
	r.killAndStop(t, "ehlogate.socket", "ehlogate-http.socket", "ehlogate-loopback.socket", "ehlogate.service")
	r.offers(t, throughCache, want)
	if hidden() {
		t.Error("a HELO name while ehlogate is down: got no STARTTLS, want it")
	}
	r.run(t, "systemctl start ehlogate.service")
}

// gateway runs the steps of the gateway of a sending network, on a machine that is one.
func (r runner) gateway(t *testing.T, steps, manual []step) {
	t.Helper()
	var inside *netns.Namespace
	for name, addr := range map[string]string{"eth1": "192.0.2.1/24", "eth0": "198.51.100.2/24"} {
		n, err := netns.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		if err := netns.Link(t.Context(), r.Network(), name, n, "peer"); err != nil {
			t.Fatal(err)
		}
		r.run(t, "ip addr add "+addr+" dev "+name)
		if name == "eth1" {
			inside = n
		}
	}
	for _, line := range []string{"addr add 192.0.2.10/24 dev peer", "addr add 192.0.2.11/24 dev peer", "route add default via 192.0.2.1"} {
		if out, err := inside.Run(soon(t), "ip", strings.Fields(line)...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	r.run(t, "ip route add default via 198.51.100.1")
	r.run(t, "mount --bind /proc/sys/net /proc/sys/net") // as in TestSendingUnits
	r.run(t, "mount -o remount,bind,rw /proc/sys/net")
	r.debianMail(t)
	r.copy(t, "root/1.deb", newPackage(t, "1-1", nil))
	r.run(t, "dpkg -i /root/1.deb")
	r.run(t, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=gateway.example.net "+
		"-keyout /etc/postfix/gateway-key.pem -out /etc/postfix/gateway-cert.pem")
	r.write(t, map[string]string{"etc/nftables.conf": "table inet filter {\n\tset bots4 { type ipv4_addr; flags interval; }\n\tset bots6 { type ipv6_addr; flags interval; }\n}\n"})
	r.run(t, "nft -f /etc/nftables.conf")
	session := func(source string) (offered bool, err error) {
		err = inside.Do(func() error {
			s, err := mtatest.Session(soon(t), net.JoinHostPort("198.51.100.77", "25"), source, "client.example")
			offered = s.Reply.Offers("STARTTLS")
			return err
		})
		return offered, err
	}
	stop := slices.IndexFunc(steps, func(s step) bool { return strings.Contains(s.text, "systemctl stop") })
	r.steps(t, steps[:stop]...)
	for source, want := range map[string]bool{"192.0.2.10": false, "192.0.2.11": true} {
		if offered, err := session(source); err != nil || offered != want {
			t.Errorf("%s: offered %v, %v; want %v", source, offered, err, want)
		}
	}
	r.steps(t, manual...)
	r.steps(t, steps[stop:]...)
}
