package mtatest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// packageTree returns the directory with the files of the Debian package, and its control files in DEBIAN; built once, in a
// directory that TestMain removes.
var packageTree func() (string, error)

// packageLimit is how long it may take to build a package on a busy machine.
const packageLimit = 5 * time.Minute

// buildPackage builds the Debian package in dir, and unpacks it there.
func buildPackage(dir string) (tree string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), packageLimit)
	defer cancel()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(examples, "debian/build"), dir)
	cmd.Env = append(os.Environ(), "VERSION=1-1", "DPKG_DEB_COMPRESSOR_TYPE=none") // it is unpacked at once
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("%s (run .ci/deps): %w\n%s%s", cmd, err, out, exit.Stderr)
	}
	if err != nil {
		return "", err
	}
	tree = filepath.Join(dir, "tree")
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "--raw-extract", strings.TrimSpace(string(out)), tree).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return tree, nil
}

// newPackage makes a package of the same files with another version, and returns its path. change, if not nil, may change the
// files before.
func newPackage(t *testing.T, version string, change func(tree string)) (path string) {
	t.Helper()
	shared, err := packageTree()
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	tree := filepath.Join(dir, "tree")
	if err := os.CopyFS(tree, os.DirFS(shared)); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(tree, "DEBIAN/control"), func(text string) string {
		return regexp.MustCompile(`(?m)^Version: .*`).ReplaceAllString(text, "Version: "+version)
	})
	if change != nil {
		change(tree)
	}
	path = filepath.Join(dir, version+".deb")
	if out, err := exec.CommandContext(soon(t), "dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// rewrite changes a file's text.
func rewrite(t *testing.T, name string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte(change(string(text))), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The files of /etc/ehlogate that an installation makes.
var madeFiles = []string{"ehlogate.toml", "lists/allow.list", "lists/deny.list"}

// TestUpgrade upgrades, with standard input closed, to a version in which a comment of each file of the config is
// another one: what the operator edited or deleted stays as it is. The first version is the package, or one that has these
// files as conffiles, as it was once.
func TestUpgrade(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "debhelper", "Postfix")
	t.Parallel()
	changed := newPackage(t, "2-1", func(tree string) {
		for _, name := range madeFiles {
			rewrite(t, filepath.Join(tree, "usr/share/ehlogate", name), func(text string) string { return "# another comment\n" + text })
		}
	})
	for name, first := range map[string]string{
		"from a version without conffiles": newPackage(t, "1-1", nil),
		"from a version with conffiles": newPackage(t, "1-1", func(tree string) {
			err := os.Mkdir(filepath.Join(tree, "etc"), 0o755)
			if err == nil {
				err = os.Rename(filepath.Join(tree, "usr/share/ehlogate"), filepath.Join(tree, "etc/ehlogate"))
			}
			if err == nil {
				list := "/etc/ehlogate/" + strings.Join(madeFiles, "\n/etc/ehlogate/") + "\n"
				err = os.WriteFile(filepath.Join(tree, "DEBIAN/conffiles"), []byte(list), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startMachine(t)
			m.copy(t, "root/1.deb", first)
			m.copy(t, "root/2.deb", changed)
			m.run(t, "dpkg -i /root/1.deb")
			for _, name := range madeFiles {
				text, err := m.Files().ReadFile("etc/ehlogate/" + name)
				if err != nil {
					t.Fatal(err)
				}
				m.write(t, map[string]string{"etc/ehlogate/" + name: string(text) + "# the operator's\n"})
			}
			const deleted = "etc/ehlogate/lists/allow.list"
			if err := m.Files().Remove(deleted); err != nil {
				t.Fatal(err)
			}
			if out, err := m.Run(soon(t), "sh", "-c", "dpkg -i /root/2.deb <&-"); err != nil || strings.Contains(out, "onfiguration file") {
				t.Fatalf("the upgrade: %v\n%s", err, out)
			}
			if version := m.run(t, "dpkg-query -Wf ${Status}:${Version} ehlogate"); version != "install ok installed:2-1" {
				t.Error(version)
			}
			for _, name := range madeFiles {
				text, err := m.Files().ReadFile("etc/ehlogate/" + name)
				if name := "etc/ehlogate/" + name; name == deleted {
					if !os.IsNotExist(err) {
						t.Errorf("%s, which the operator deleted: %v", name, err)
					}
				} else if err != nil || !strings.HasSuffix(string(text), "# the operator's\n") || strings.Contains(string(text), "another comment") {
					t.Errorf("%s: %v\n%s", name, err, text)
				}
			}
			m.run(t, "dpkg -P ehlogate")
			if left := m.run(t, "find /etc -path *ehlogate*"); left != "" {
				t.Errorf("after a purge there is still\n%s", left)
			}
		})
	}
}
