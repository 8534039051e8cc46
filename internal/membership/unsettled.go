package membership

import (
	"fmt"
)

// wordy is how many of those that are missing are put into words.
const maxExplained = 3

// Missing says what keeps the ring from being as it should be, or nothing. It is asked
// at every change, so of many only the first few are put into words; the others are
// empty.
func (a *Authority) Missing() (list []string) {
	if !a.live {
		return []string{"it has not been set up: run Setup (setup-overlay)"}
	}
	if a.recovering {
		return []string{"the registry has been restarted, and members of the ring that was have time to come back"}
	}
	for _, m := range a.sortedMembers() {
		why := ""
		switch {
		case m.suspicion != nil:
			why = "is out of sight: " + m.suspicion.why
		case m.status == leaving:
			why = "is leaving"
		case m.stalled || m.status == active && m.acked < m.sent:
			why = "has not reported its links up"
		case m.status == waiting || m.status == linking:
			why = "is about to be taken in"
		default:
			continue
		}
		if len(list) < maxExplained {
			why = fmt.Sprintf("node %d (%s) %s", m.ID, m.Addr, why)
		} else {
			why = ""
		}
		list = append(list, why)
	}
	if len(list) == 0 && (a.dirty || a.detoursDirty || len(a.unannounced) > 0) {
		list = append(list, "newcomers are not announced yet")
	}
	if len(list) == 0 && len(a.unannouncedDead)+len(a.unannouncedLeft) > 0 {
		list = append(list, "those that are gone are not announced yet")
	}
	return list
}

// Lagging counts the entries that are not where the present membership would have them.
func (a *Authority) Lagging() int { return a.plans.Lag() }
