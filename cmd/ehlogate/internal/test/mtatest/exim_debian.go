package mtatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// generate runs Debian's script for the configuration of Exim as it runs on a machine whose /etc/exim4 has these macros.
const generate = `cp -a /etc "$1" && rm -rf "$1/etc/exim4" && cp -a "$2/etc/exim4" "$1/etc/exim4" &&
cp "$1/dc.conf" "$1/etc/exim4/update-exim4.conf.conf" && cp "$1/macros" "$1/etc/exim4/$3" && echo mta.test >"$1/etc/mailname" &&
mount --bind "$1/etc" /etc && exec "$2/usr/sbin/update-exim4.conf" -o "$1/generated"`

// UseDebian replaces the configuration, before the start, by the one that Debian's scripts make of Debian's template, or of
// its many files if split, with an operator's macros. Exim listens on addrs, at the ports that the macros name,
// and takes mail for each user.
func (e *Exim) UseDebian(ctx context.Context, macros string, split bool, addrs string) error {
	dir := filepath.Join(e.dir, "debian")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("making a directory for Debian's configuration: %w", err)
	}
	place := "exim4.conf.localmacros"
	if split {
		place = "conf.d/main/000_localmacros"
	}
	err := writeFiles(dir, map[string]string{
		"dc.conf": fmt.Sprintf("dc_eximconfig_configtype='internet'\ndc_other_hostnames='%s'\ndc_local_interfaces='%s'\ndc_readhost=''\ndc_relay_domains=''\n"+
			"dc_minimaldns='false'\ndc_relay_nets=''\ndc_smarthost=''\nCFILEMODE='644'\ndc_use_split_config='%v'\ndc_hide_mailname=''\ndc_mailname_in_oh='true'\ndc_localdelivery='mail_spool'\n",
			mailDomain, addrs, split),
		"macros": fmt.Sprintf("SPOOLDIR = %s\nMAIN_TLS_CERTIFICATE = %[2]s/cert.pem\nMAIN_TLS_PRIVATEKEY = %[2]s/key.pem\nMAIN_HARDCODE_PRIMARY_HOSTNAME = %[3]s\nMAIN_ACL_CHECK_RCPT = accept\n"+
			"log_file_path = %[4]s/%%s\npid_file_path = %[5]s/pid\n%[6]s", e.spool, e.view.dir, hostName, filepath.Dir(e.log.path), e.dir, macros),
	})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "sh", "-c", generate, "sh", dir, filepath.Join(unpacked, "exim-config"), place)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making Debian's configuration of exim: %w\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "generated"))
	if err != nil {
		return fmt.Errorf("reading Debian's configuration of exim: %w", err)
	}
	return writeFiles(e.view.dir, map[string]string{"exim.conf": string(text)})
}
