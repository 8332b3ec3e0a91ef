package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"ehlogate/lists/diag"
)

// serviceUser is the user that the daemon runs as.
type serviceUser struct {
	syscall.Credential
	name   string
	hidden map[string]string // directories that the unit hides from it, and the setting
	// noExec and exec are from where the unit lets it run no program, and one.
	noExec, exec []string
	procSubset   string
}

// checkListAccess looks for lists that the daemon cannot read. The kernel is asked, by a process of that user.
func (e *exam) checkListAccess() {
	u, ok := e.findServiceUser()
	if !ok {
		return
	}
	for _, l := range e.config.Lists {
		e.checkFileAccess(u, "files", l.Spec.Patterns, fmt.Sprintf("Without its files, list %q is unavailable: a suppress list suppresses no client, an offer list ends the decision with an offer.", l.Name))
	}
	if e.config.Learns() {
		e.checkFileAccess(u, "learn.never", e.config.Learn.Never.Patterns, "Without this file nothing is learned, and lists that learn match no client.")
	}
}

// checkFileAccess looks for files of a list that the user cannot read.
func (e *exam) checkFileAccess(u serviceUser, key string, patterns []string, effect string) {
	for _, pattern := range patterns {
		files, _ := filepath.Glob(pattern)
		for _, name := range append([]string{filepath.Dir(pattern)}, files...) {
			why := u.blockedFrom(e.ctx, "-r", name)
			if why == "" {
				continue
			}
			e.add(Hazard, "list-forbidden", e.configPlace(key, pattern), fmt.Sprintf("the daemon cannot read %s: %s", name, why),
				fmt.Sprintf("It runs as user %s. %s", u.name, effect),
				Write{shell, []string{"chgrp " + u.name + " " + quoteShell(name) + " && chmod g+rX " + quoteShell(name) + " # and each directory above it"}})
			break
		}
	}
}

// findServiceUser returns the user of the unit, or that of the process that listens at a socket file, if it is not root.
// ok is false if the user is unknown, or doctor may not act for it.
func (e *exam) findServiceUser() (u serviceUser, ok bool) {
	if e.host.saved != "" || os.Geteuid() != 0 {
		return u, false
	}
	text, err := e.host.Unit()
	if err != nil {
		return u, false
	}
	properties := parseSettings(savedUnit, text, new(diag.Problems))
	const unprivileged = 65534 // a user that systemd makes at the start has no other rights
	u.name, u.Uid, u.Gid, u.hidden = properties["User"], unprivileged, unprivileged, map[string]string{}
	find := user.Lookup
	if properties["LoadState"] != "loaded" || u.name == "" {
		if e.listener == nil || e.listener.UID == 0 {
			return u, false
		}
		u.name, u.Uid, u.Gid = strconv.Itoa(int(e.listener.UID)), e.listener.UID, e.listener.GID
		find, properties = user.LookupId, nil
	}
	if known, err := find(u.name); err == nil {
		u.name, u.Uid, u.Gid = known.Username, parseID(known.Uid), parseID(known.Gid)
		ids, _ := known.GroupIds()
		u.addGroups(ids...)
	}
	for _, name := range strings.Fields(properties["Group"] + " " + properties["SupplementaryGroups"]) {
		if g, err := user.LookupGroup(name); err == nil {
			u.addGroups(g.Gid)
		}
	}
	for property, dirs := range map[string]string{"ProtectHome": "/home /root /run/user", "PrivateTmp": "/tmp /var/tmp", "InaccessiblePaths": properties["InaccessiblePaths"]} {
		if value := properties[property]; value != "" && value != "no" && value != "read-only" {
			for dir := range strings.FieldsSeq(dirs) {
				u.hidden[strings.TrimLeft(dir, "-+")] = property + "=" + value
			}
		}
	}
	u.noExec, u.exec, u.procSubset = strings.Fields(properties["NoExecPaths"]), strings.Fields(properties["ExecPaths"]), properties["ProcSubset"]
	return u, true
}

func (u *serviceUser) addGroups(ids ...string) {
	for _, id := range ids {
		u.Groups = append(u.Groups, parseID(id))
	}
}

func parseID(s string) uint32 {
	id, _ := strconv.ParseUint(s, 10, 32)
	return uint32(id)
}

// checkSocketAccess looks whether the user that a mail server runs as may connect to the socket file of ehlogate. doctor is
// root, and may.
func (e *exam) checkSocketAccess(userName string, p endpoint, at Place) {
	known, err := user.Lookup(userName)
	if e.host.Dial == nil || p.network != "unix" || os.Geteuid() != 0 || err != nil {
		return
	}
	u := serviceUser{Credential: syscall.Credential{Uid: parseID(known.Uid), Gid: parseID(known.Gid)}}
	ids, _ := known.GroupIds()
	u.addGroups(ids...)
	if why := u.blockedFrom(e.ctx, "-w", p.addr); why != "" {
		e.add(Hazard, "socket-forbidden", at, fmt.Sprintf("user %s may not connect to %s: %s", userName, p, why),
			"The mail server runs as that user. To it, ehlogate is unreachable at all times. The directories above the socket need the right to enter (x), "+
				"and the socket, if systemd holds it, SocketGroup= in its unit.",
			e.inSection("listen", fmt.Sprintf("socket_group = %q", groupName(known.Gid)), `socket_mode = "0660"`), Write{shell, []string{"systemctl restart ehlogate"}})
	}
}

func groupName(id string) string {
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// blockedFrom returns why the user has not the right to a file or directory that an operator of test(1) is about, or "".
func (u serviceUser) blockedFrom(ctx context.Context, right, name string) string {
	for dir, setting := range u.hidden {
		if isBelow(name, dir) {
			return "its unit has " + setting
		}
	}
	test, err := exec.LookPath("test")
	if _, missing := os.Stat(name); err != nil || missing != nil {
		return ""
	}
	cmd := exec.CommandContext(ctx, test, right, name)
	cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: &u.Credential}, "/"
	if cmd.Run() == nil || cmd.ProcessState == nil || !cmd.ProcessState.Exited() {
		return ""
	}
	return "permission denied"
}
