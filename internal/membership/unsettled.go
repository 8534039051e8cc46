package membership

import (
	"fmt"
	"slices"
)

// maxExplained bounds the reasons that Missing puts into words.
const maxExplained = 3

// Unsettled lists why the ring is not settled: an empty list means that it is, but for the members
// that are left out, see [Authority.AllLeftOut]. It is called
// at every change, so only the first few reasons are put into words, and the others are
// empty strings.
func (a *Authority) Unsettled() (list []string) {
	if !a.live && a.SelfSetup != nil && !a.recovering {
		return []string{"no node has joined yet: the first one makes the ring live"}
	}
	if !a.live && !a.recovering {
		return []string{"it has not been set up: run Setup (setup-overlay)"}
	}
	if a.recovering {
		return []string{a.whyRecovering()}
	}
	if a.waitsForState() {
		return []string{a.whyUnsaved()}
	}
	for _, m := range a.sortedMembers() {
		why := ""
		switch {
		case m.leftOut != "":
			continue
		case m.suspicion != nil:
			why = "is suspect: " + m.suspicion.why
		case m.status == leaving:
			why = "is leaving"
		case m.stalled || m.status == active && m.acked < m.sent:
			why = "has not reported its links up"
		case m.status == waiting || m.status == linking:
			why = "is not in the tables yet"
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
	if len(list) == 0 && (a.dirty || a.detoursDirty || slices.ContainsFunc(a.unannounced, func(m *member) bool { return m.leftOut == "" })) {
		list = append(list, "newcomers are not announced yet")
	}
	if len(list) == 0 && len(a.unannouncedDead)+len(a.unannouncedLeft)+len(a.unannouncedLeaving) > 0 {
		list = append(list, "members that are gone, or leave, are not announced yet")
	}
	return list
}

// Lagging counts the table entries that are not at their position in the present ring.
func (a *Authority) Lagging() int { return a.plans.Lag() }
