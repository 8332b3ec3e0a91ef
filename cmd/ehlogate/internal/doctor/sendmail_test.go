package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// unpackedSendmail is where .ci/deps unpacks Sendmail.
const unpackedSendmail = "/var/cache/ehlogate-test/sendmail"

// sendmailBase is what every .cf has: a local mailer, and the ruleset that calls Local_srv_features.
const sendmailBase = "V10/Berkeley\nMlocal, P=/bin/true, F=lsDFM, A=true\nSsrv_features\nR$*\t$: $1 $| $>\"Local_srv_features\" $1\nR$* $| $#$*\t$#$2\nR$* $| $*\t$: $1\n"

// installSendmail makes the Sendmail that .ci/deps unpacks a program of the test. It sees a machine whose name has a
// dot: for another one it waits a minute.
func installSendmail(t *testing.T) {
	t.Helper()
	testenv.Needs(t, "root", "Sendmail")
	dir := t.TempDir()
	view := fmt.Sprintf("mount --bind %s/hosts /etc/hosts && hostname mta.test && LD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %[2]s/usr/libexec/sendmail/sendmail \"$@\"", dir, unpackedSendmail)
	for name, text := range map[string]string{
		"sendmail": fmt.Sprintf("#!/bin/sh\nexec unshare --mount --uts sh -c '%s' sh \"$@\"\n", view),
		"hosts":    "127.0.0.1 mta.test localhost\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// makeSendmailCF has m4 make a .cf from a .mc that ends in text, and returns its name. The .mc is beside it.
func makeSendmailCF(t *testing.T, text string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "sendmail.cf")
	mc := fmt.Sprintf("include(`%s/usr/share/sendmail/cf/m4/cf.m4')dnl\nOSTYPE(`linux')dnl\nFEATURE(`no_default_msa')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n%s", unpackedSendmail, text)
	if err := os.WriteFile(strings.TrimSuffix(name, ".cf")+".mc", []byte(mc), 0o644); err != nil {
		t.Fatal(err)
	}
	cf, err := exec.Command(unpackedSendmail+"/usr/bin/m4", strings.TrimSuffix(name, ".cf")+".mc").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, cf, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// What Sendmail does not read, or cannot use, is an error or a finding that says so.
func TestBrokenSendmail(t *testing.T) {
	installSendmail(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"empty.cf": "", "sendmail.mc": "OSTYPE(`linux')\n"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSendmail(file); err == nil || !strings.Contains(err.Error(), "sendmail.cf") {
			t.Errorf("%s: got %v, want the name of another file", name, err)
		}
	}
}
