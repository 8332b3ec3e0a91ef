package mtatest

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// hostName is what the servers call themselves, and mailDomain the domain for which they deliver mail.
const (
	hostName   = "mx.mta.test"
	mailDomain = "mta.test"
)

// owner is a user and group by number.
type owner struct{ uid, gid int }

// postfixOwner returns the ids of the user postfix, with the group of that name or another.
func postfixOwner(group string) (owner, error) {
	u, err := user.Lookup("postfix")
	if err != nil {
		return owner{}, fmt.Errorf("looking for the user of postfix: %w", err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return owner{}, fmt.Errorf("looking for a group of postfix: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return owner{}, fmt.Errorf("user postfix: %w", err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return owner{}, fmt.Errorf("group %s: %w", group, err)
	}
	return owner{uid, gid}, nil
}

// makeDirs makes the directories of the instance with the owners and modes on which Postfix insists.
func (p *Postfix) makeDirs() error {
	ours, err := postfixOwner("postfix")
	if err != nil {
		return err
	}
	drop, err := postfixOwner("postdrop")
	if err != nil {
		return err
	}
	root := owner{}
	type dir struct {
		path string
		owner
		mode os.FileMode
	}
	dirs := []dir{
		{p.Config, root, 0o755}, {p.Queue, root, 0o755}, {p.Data, ours, 0o700},
		{filepath.Dir(p.Mail), ours, 0o755}, {filepath.Dir(p.Layout.Log), root, 0o755},
		{filepath.Join(p.Queue, "pid"), root, 0o755},
		{filepath.Join(p.Queue, "public"), drop, 0o710},
		{filepath.Join(p.Queue, "maildrop"), drop, 0o730},
	}
	for name := range strings.FieldsSeq("active bounce corrupt defer deferred flush hold incoming private saved trace") {
		dirs = append(dirs, dir{filepath.Join(p.Queue, name), ours, 0o700})
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return fmt.Errorf("making %s: %w", d.path, err)
		}
		if err := os.Chown(d.path, d.uid, d.gid); err != nil {
			return fmt.Errorf("giving %s to its user: %w", d.path, err)
		}
		if err := os.Chmod(d.path, d.mode); err != nil { // whatever the umask is
			return fmt.Errorf("setting the mode of %s: %w", d.path, err)
		}
	}
	return nil
}

// mainCF returns main.cf: what every instance shares, which looks nothing up in the DNS, limits no client, believes XCLIENT
// from anyone on this machine, and delivers all mail for mailDomain into one maildir; and behind it more. A parameter that
// more sets is left out of ours, because Postfix logs a warning about a parameter that stands there twice.
func (p *Postfix) mainCF(more string) (string, error) {
	ours, err := postfixOwner("postfix")
	if err != nil {
		return "", err
	}
	interfaces := "127.0.0.1"
	if hasIPv6() {
		interfaces += ", ::1"
	}
	base := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s
data_directory = %[2]s
maillog_file = %[3]s
maillog_file_prefixes = %[4]s
mail_owner = postfix
setgid_group = postdrop
myhostname = %[5]s
mydestination =
mynetworks = 127.0.0.0/8, [::1]/128
inet_interfaces = %[6]s
inet_protocols = all
alias_maps =
alias_database =
local_recipient_maps =
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.0/8, [::1]
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
smtpd_tls_security_level = may
smtpd_tls_cert_file = %[7]s/cert.pem
smtpd_tls_key_file = %[7]s/key.pem
smtpd_relay_restrictions = reject_unauth_destination
postscreen_cache_map =
postscreen_access_list =
virtual_mailbox_domains = %[8]s
virtual_mailbox_maps = static:%[9]s/
virtual_mailbox_base = %[10]s
virtual_uid_maps = static:%[11]d
virtual_gid_maps = static:%[12]d
virtual_minimum_uid = 1
# A daemon that could not start is tried again soon.
service_throttle_time = 1s
`, p.Queue, p.Data, p.Layout.Log, filepath.Dir(p.Layout.Log), p.host, interfaces, p.Config, mailDomain,
		filepath.Base(p.Mail), filepath.Dir(p.Mail), ours.uid, ours.gid)
	return withoutSet(base, more) + more + "\n", nil
}

// withoutSet returns the lines "NAME = VALUE" of base but for the names that are set in more.
func withoutSet(base, more string) string {
	var b strings.Builder
	for line := range strings.Lines(base) {
		name, _, _ := strings.Cut(line, " ")
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `\s*=`).MatchString(more) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// baseMaster is the part of master.cf that every instance shares.
const baseMaster = `postlog    unix-dgram n - n - 1 postlogd
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
trace      unix - - n - 0 bounce
verify     unix - - n - 1 verify
flush      unix n - n 1000? 0 flush
proxymap   unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
anvil      unix - - n - 1 anvil
virtual    unix - n n - - virtual
error      unix - - n - - error
retry      unix - - n - - error
discard    unix - - n - - discard
dnsblog    unix - - n - 0 dnsblog
tlsproxy   unix - - n - 0 tlsproxy
`

// masterCF returns master.cf: what all instances share, and the services. postscreen hands its clients to a smtpd of its
// own, and each smtpd says in the log which service it is.
func (p *Postfix) masterCF(services []Service) string {
	var b strings.Builder
	b.WriteString(baseMaster)
	for _, s := range services {
		jail := "n"
		if s.Chroot {
			jail = "y"
		}
		procs := "-"
		if s.Procs > 0 {
			procs = strconv.Itoa(s.Procs)
		}
		smtpd := map[string]string{"syslog_name": "postfix/" + s.Name}
		if s.Command != "postscreen" {
			maps.Copy(smtpd, s.Options)
			fmt.Fprintf(&b, "%d inet n - %s - %s smtpd%s\n", p.ports[s.Name], jail, procs, options(smtpd))
			continue
		}
		screen := map[string]string{"syslog_name": "postfix/" + s.Name, "smtpd_service_name": s.Name + "-smtpd"}
		maps.Copy(screen, s.Options)
		maps.Copy(smtpd, s.Behind)
		fmt.Fprintf(&b, "%d inet n - n - 1 postscreen%s\n", p.ports[s.Name], options(screen))
		fmt.Fprintf(&b, "%s-smtpd pass - - %s - %s smtpd%s\n", s.Name, jail, procs, options(smtpd))
	}
	return b.String()
}

// options writes parameters as master.cf wants them, in a fixed order.
func options(params map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&b, "\n    -o { %s = %s }", name, params[name])
	}
	return b.String()
}
