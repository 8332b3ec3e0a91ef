package mtatest_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// The names of the servers: smtpd and postscreen are of one Postfix, and each Exim has another log_selector.
const (
	logSMTPD       = "Postfix"
	logScreen      = "postscreen"
	logSendmail    = "Sendmail"
	logExim        = "Exim"
	logEximDefault = "Exim, default log_selector"
)

// logging is a mail server whose log is read.
type logging struct {
	name    string
	network int               // its clients are 127.NETWORK.WAY.1
	ports   map[string]string // the address, by what is unusual about the port; "" is nothing
	log     *mtatest.Log
	atOnce  int                    // clients: more than the queue of its socket holds would have to wait
	usual   *strings.Replacer      // in the log, ports by those that servers have, if the log tells them; nil: it does not
	turns   map[string]*sync.Mutex // by port: if there is one, clients come one after the other once they have the banner
	ended   func(client string)    // waits until the log has the end of a client's session; nil: see idle
	idle    func()                 // waits until the log has the ends of all sessions; nil: see ended
}

// writeOddPEM makes a directory with certificates and keys that are not as they should be. Mode is that of the keys.
func writeOddPEM(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir := tempDir(t)
	for name, until := range map[string]time.Time{"expired": time.Now().Add(-time.Hour), "other": time.Now().Add(time.Hour)} {
		own := filepath.Join(dir, name)
		err := errors.Join(os.Mkdir(own, 0o755), mtatest.WriteCert(own, "mx.mta.test", until),
			os.Chmod(filepath.Join(own, "cert.pem"), mode), os.Chmod(filepath.Join(own, "key.pem"), mode))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "garbage.pem"), []byte("no certificate\n"), mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

// postfixPorts are the ports of Postfix and their parameters; PEM is the directory of writeOddPEM.
var postfixPorts = map[string]map[string]string{
	"":           {},
	"strict":     {"smtpd_tls_protocols": ">=TLSv1.2"},
	"only13":     {"smtpd_tls_protocols": ">=TLSv1.3"},
	"only12":     {"smtpd_tls_protocols": ">=TLSv1.2, <=TLSv1.2"},
	"hurried":    {"smtpd_starttls_timeout": "1s", "postscreen_command_time_limit": "5s"},
	"impatient":  {"smtpd_starttls_timeout": "1s", "postscreen_command_time_limit": "5s"},
	"nocert":     {"smtpd_tls_cert_file": "/nonexistent.pem"},
	"badcert":    {"smtpd_tls_cert_file": "PEM/garbage.pem"},
	"nokey":      {"smtpd_tls_key_file": "/nonexistent.pem"},
	"otherkey":   {"smtpd_tls_key_file": "PEM/other/key.pem"},
	"expired":    {"smtpd_tls_cert_file": "PEM/expired/cert.pem", "smtpd_tls_key_file": "PEM/expired/key.pem"},
	"hidden":     {"smtpd_discard_ehlo_keywords": "starttls"},
	"silent":     {"smtpd_discard_ehlo_keywords": "starttls, silent-discard"},
	"limited":    {"smtpd_client_new_tls_session_rate_limit": "1", "smtpd_client_event_limit_exceptions": "", "smtpd_authorized_xclient_hosts": ""},
	"quiet":      {"smtpd_tls_loglevel": "0"},
	"crowded":    {},
	"submission": {"syslog_name": "postfix/submission"},
	"wrapper":    {"syslog_name": "postfix/smtps", "smtpd_tls_wrappermode": "yes"},
	"clientcert": {"smtpd_tls_req_ccert": "yes", "smtpd_tls_security_level": "encrypt"},
}

// startLoggingPostfix starts Postfix, whose smtpd and postscreen are two servers here. Each postscreen has a tlsproxy of its
// own, with the parameters.
func startLoggingPostfix(t *testing.T) []*logging {
	pem := writeOddPEM(t, 0o600)
	direct := &logging{name: logSMTPD, network: 11, atOnce: 32, ports: map[string]string{}}
	screened := &logging{name: logScreen, network: 12, atOnce: 64, ports: map[string]string{}, turns: map[string]*sync.Mutex{}}
	var services []mtatest.Service
	var master strings.Builder
	for name, given := range postfixPorts {
		options := map[string]string{"syslog_name": "postfix"}
		for key, value := range given {
			options[key] = strings.ReplaceAll(value, "PEM", pem)
		}
		services = append(services, mtatest.Service{Name: "d" + name, Options: options})
		if name == "wrapper" || name == "submission" || name == "limited" {
			continue
		}
		screening := maps.Clone(options)
		maps.Copy(screening, map[string]string{"postscreen_greet_wait": "1s", "postscreen_pipelining_enable": "yes", "tlsproxy_service_name": "proxy" + name})
		services = append(services, mtatest.Service{Name: "s" + name, Command: "postscreen", Options: screening})
		fmt.Fprintf(&master, "proxy%s unix - - n - 0 tlsproxy", name)
		for key, value := range options {
			fmt.Fprintf(&master, "\n    -o { %s = %s }", key, value)
		}
		master.WriteString("\n")
	}
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: services, Main: "smtpd_tls_loglevel = 1\n", Master: master.String()})
	for name := range postfixPorts {
		direct.ports[name] = p.Addr("d" + name)
	}
	for _, s := range services {
		if name, ok := strings.CutPrefix(s.Name, "s"); ok {
			if screened.ports[name] = p.Addr(s.Name); postfixPorts[name]["smtpd_starttls_timeout"] == "" {
				screened.turns[name] = &sync.Mutex{}
			}
		}
	}
	direct.log, screened.log = p.Maillog(), p.Maillog()
	direct.ended, screened.ended = awaitEndIn(t, p, `/smtpd\[\d+\]: disconnect from \S*\[%s\]`), awaitEndIn(t, p, `/postscreen\[\d+\]: DISCONNECT \[%s\]:`)
	return []*logging{direct, screened}
}

// awaitEndIn returns a function that waits until the log has the end of a client's session, in the format for a regexp.
func awaitEndIn(t *testing.T, p *mtatest.Postfix, format string) func(client string) {
	return func(client string) {
		re := regexp.MustCompile(fmt.Sprintf(format, regexp.QuoteMeta(client)))
		if _, err := p.Maillog().Await(soon(t), re, 0); err != nil {
			t.Error(err)
		}
	}
}

// sendmailPorts are daemons of Sendmail and their m4 text; PEM is the directory of writeOddPEM.
var sendmailPorts = map[string]string{
	"":         "",
	"strict":   "LOCAL_CONFIG\nO CipherList=HIGH\nO ServerSSLOptions=+SSL_OP_NO_TLSv1 +SSL_OP_NO_TLSv1_1\n",
	"hurried":  "define(`confTO_STARTTLS', `1s')dnl\n",
	"nocert":   "define(`confSERVER_CERT', `/nonexistent.pem')dnl\n",
	"badcert":  "define(`confSERVER_CERT', `PEM/garbage.pem')dnl\n",
	"nokey":    "define(`confSERVER_KEY', `/nonexistent.pem')dnl\n",
	"otherkey": "define(`confSERVER_KEY', `PEM/other/key.pem')dnl\n",
	"expired":  "define(`confSERVER_CERT', `PEM/expired/cert.pem')define(`confSERVER_KEY', `PEM/expired/key.pem')dnl\n",
	"hidden":   "LOCAL_RULESETS\nSsrv_features\nR$*\t$# S\n",
}

func startLoggingSendmail(t *testing.T) []*logging {
	pem := writeOddPEM(t, 0o600)
	var all []*logging
	for _, name := range slices.Sorted(maps.Keys(sendmailPorts)) {
		ports, err := mtatest.FreePorts(3)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(sendmailPorts[name], "PEM", pem)
		cfg := mtatest.SendmailConfig{Port: ports[0], Syslog: true, Features: text}
		if name == "" {
			cfg.Features = fmt.Sprintf("DAEMON_OPTIONS(`Name=MSA, Family=inet, Addr=127.0.0.1, Port=%d')dnl\nDAEMON_OPTIONS(`Name=TLSMTA, Family=inet, Addr=127.0.0.1, Port=%d, Modify=s')dnl\n", ports[1], ports[2])
		}
		if strings.HasPrefix(text, "LOCAL_") {
			cfg.Features, cfg.MC = "", text
		}
		s := runSendmailWith(t, cfg)
		l := &logging{name: logSendmail, network: 13, atOnce: 8, ports: map[string]string{name: s.Addr()}, log: s.Maillog(), idle: func() {
			if err := s.AwaitIdle(soon(t)); err != nil {
				t.Error(err)
			}
		}}
		if name == "" {
			l.ports["submission"], l.ports["wrapper"] = fmt.Sprintf("127.0.0.1:%d", ports[1]), fmt.Sprintf("127.0.0.1:%d", ports[2])
		}
		all = append(all, l)
	}
	return all
}

// eximPorts are ports of Exim, and options in the form "NAME = VALUE" that are so for them alone.
var eximPorts = map[string]map[string]string{
	"":          {},
	"strict":    {"tls_require_ciphers": "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
	"only13":    {"tls_require_ciphers": "NORMAL:-VERS-ALL:+VERS-TLS1.3"},
	"only12":    {"tls_require_ciphers": "NORMAL:-VERS-ALL:+VERS-TLS1.2"},
	"hurried":   {"smtp_receive_timeout": "3s"},
	"impatient": {"smtp_receive_timeout": "3s"},
	"nocert":    {"tls_certificate": "/nonexistent.pem"},
	"badcert":   {"tls_certificate": "PEM/garbage.pem"},
	"nokey":     {"tls_privatekey": "/nonexistent.pem"},
	"otherkey":  {"tls_privatekey": "PEM/other/key.pem"},
	"expired":   {"tls_certificate": "PEM/expired/cert.pem", "tls_privatekey": "PEM/expired/key.pem"},
	"hidden":    {"tls_advertise_hosts": ""},
	"wrapper":   {},
}

// startLoggingExim starts an Exim that logs ports, and ends of sessions without mail, and one that logs what it does by
// default.
func startLoggingExim(t *testing.T) []*logging {
	return []*logging{
		startOneLoggingExim(t, logExim, 14, "log_selector = +incoming_port +incoming_interface +smtp_no_mail\n"),
		startOneLoggingExim(t, logEximDefault, 15, ""),
	}
}

func startOneLoggingExim(t *testing.T, name string, network int, text string) *logging {
	t.Helper()
	dir, pem, names := tempDir(t), writeOddPEM(t, 0o644), slices.Sorted(maps.Keys(eximPorts))
	ports, err := mtatest.FreePorts(len(names))
	if err != nil {
		t.Fatal(err)
	}
	l := &logging{name: name, network: network, atOnce: 8, ports: map[string]string{}}
	options := map[string]string{
		"tls_certificate": dir + "/etc/cert.pem", "tls_privatekey": dir + "/etc/key.pem", "tls_require_ciphers": "NORMAL",
		"smtp_receive_timeout": "5m", "tls_advertise_hosts": "*", "local_interfaces": "<;",
		"acl_smtp_rcpt": "${if eq{$domain}{mta.test}{accept}{deny}}",
	}
	var usual []string
	for i, name := range names {
		usualPort := ":25 "
		if name == "wrapper" {
			usualPort = ":465 "
		}
		usual = append(usual, fmt.Sprintf(":%d ", ports[i]), usualPort)
		l.ports[name] = fmt.Sprintf("127.0.0.1:%d", ports[i])
		options["local_interfaces"] += fmt.Sprintf(" [127.0.0.1]:%d;", ports[i])
		if name == "wrapper" {
			options["tls_on_connect_ports"] = strconv.Itoa(ports[i])
		}
		for option, value := range eximPorts[name] {
			options[option] = fmt.Sprintf("${if eq{$received_port}{%d}{%s}{%s}}", ports[i], strings.ReplaceAll(value, "PEM", pem), options[option])
		}
	}
	for option, value := range options {
		text += option + " = " + value + "\n"
	}
	l.usual = strings.NewReplacer(usual...)
	e := runEximWith(t, mtatest.EximConfig{Dir: dir, Main: text})
	l.log, l.idle = e.Maillog(), func() {
		if err := e.AwaitIdle(soon(t)); err != nil {
			t.Error(err)
		}
	}
	return l
}
