package doctor

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/lists"
)

func onPressure(e *exam) bool { return e.config.Limit != nil && e.config.Limit.CPUPressure > 0 }

// checkPressure looks whether the daemon, or else this program, can read the CPU pressure.
func (e *exam) checkPressure() {
	if e.host.saved != "" {
		return
	}
	limit := e.config.Limit
	_, _, err := cpupressure.Measure(limit.PressureFile)
	hint, why := "", ""
	if err != nil {
		hint, why = err.Hint(), err.Error()
	}
	if d := e.Daemon; d != nil && d.Pressure != nil { // it may see less
		if why = d.Pressure.Error; why != "" && hint == "" {
			hint = "compare the restrictions of its unit (ProcSubset=, ProtectControlGroups=, InaccessiblePaths=) with those of systemd/ehlogate.service"
		}
	}
	if why == "" {
		return
	}
	effect := "Clients on no list are offered STARTTLS without a limit."
	if n := limit.OffersPerSecond; n > 0 {
		effect = fmt.Sprintf("Clients on no list are offered STARTTLS up to offers_per_second (%v), however busy the machine is.", n)
	}
	e.add(Warning, "pressure-unreadable", e.configPlace("limit.cpu_pressure", fmt.Sprintf("%.3g%%", 100*limit.CPUPressure)), "cpu_pressure has no effect: "+why,
		effect+" To mend it: "+hint+".", e.inSection("limit", "offers_per_second = 20 # in place of cpu_pressure, or beside it"))
}

// checkSharedAddress reports an address that the daemon noticed.
func (e *exam) checkSharedAddress() {
	if e.Daemon == nil || e.Daemon.Shared == nil {
		return
	}
	shared := e.Daemon.Shared
	severity, what := Warning, "clients may share the private address %s, and share one decision"
	why := "Behind a proxy without the PROXY protocol, a NAT, or the bridge of a container, a mail server sees all clients under one address. "
	if !lists.MayBeShared(shared.Addr) {
		severity, what = Note, "clients may share the address %s, and share one decision"
		why = "It may be that of a proxy or a NAT. Or it is one client that claims ever other HELO names, as some bots do: then nothing is wrong. "
	}
	e.add(severity, "shared-address", Place{File: e.file}, fmt.Sprintf(what, shared.Addr), fmt.Sprintf("%s. %sLet the mail server see the addresses of clients (PROXY protocol, host network).", shared, why),
		Write{"a list with action = \"offer\", if it is one client, such as a relay of your own", []string{shared.Addr.String()}})
}
