package doctor

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists/filewatch"
)

// checkDaemon asks the running daemon which config and lists it uses, and reports where they are not those on disk, by
// which all other checks judge.
func (e *exam) checkDaemon() {
	if e.host.saved != "" {
		return
	}
	e.Judged = "the config and the lists on disk"
	if e.host.Daemon == nil {
		e.Judged += "; the daemon was not queried"
		return
	}
	status, err := e.host.Daemon(e.ctx, running.Find(e.config.File, e.config))
	if err != nil {
		e.Judged += "; " + err.Error()
		return
	}
	e.Daemon = status
	if status.Version != e.host.Version {
		e.add(Warning, "version-differs", Place{File: e.file}, fmt.Sprintf("the daemon has version %s, and doctor %s", status.Version, e.host.Version),
			"Doctor judges by what its own version does. The daemon was not restarted after an update.", Write{shell, []string{"systemctl restart ehlogate"}})
	}
	differences := status.Differences(e.config, nil, status.Version)
	if len(differences) == 0 {
		e.Judged += fmt.Sprintf(", which the running daemon uses too (%s)", status)
		return
	}
	e.compared = true // the reason is known
	e.Judged += fmt.Sprintf(", which the running daemon does not use as they are (%s)", status)
	for _, d := range differences {
		e.add(Hazard, "running-differs", Place{File: e.file}, "the running daemon does not use the config and the lists on disk: "+d.What,
			"Doctor judges what is on disk, and the mail server is answered by what the daemon has. To mend it: "+d.Do+".")
	}
}

// addUnusableLists reports lists on disk that the daemon cannot use: it keeps what it had before.
func (e *exam) addUnusableLists(disk *state.Snapshot) {
	for l, source := range disk.Files() {
		err := source.Status().Fault()
		if err == nil || filewatch.IsReadError(err) {
			continue
		}
		e.add(Hazard, "running-differs", Place{File: e.file}, fmt.Sprintf("the running daemon does not use list %q as it is on disk: %v", l.Name, err),
			"The daemon keeps the version before that edit. If it has none, the list is unavailable.", Write{shell, []string{"ehlogate check"}})
	}
}
