package doctor

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/cpupressure"
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
