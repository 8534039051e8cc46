package sim

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/plant"
)

var simControls = flag.Bool("controls", false, "plant one bug after the other, and check that the simulation finds each")

// controls are bugs to plant. Each replaces the one place in a file with the text old, to
// remove or bend a rule or to bring back an earlier bug. A simulation that does not fail
// then proves nothing about that rule. seed is a world that shows the bug.
var controls = []struct {
	seed                 uint64
	name, file, old, new string
}{
	{liarsFrom + 33, "a sink delivers what it had before", "stream/receiver.go",
		"\t\treturn Duplicate, false\n\tcase ahead >=", "\t\tr.accept(f)\n\t\tr.next -= n\n\t\treturn Accepted, false\n\tcase ahead >="},
	{liarsFrom + 366, "every stream starts at the same number", "stream/receiver.go",
		"r.first, r.next, r.done, r.told, r.asked, r.askedNext = first, first, first, first, first, first", "first = 7\n\tr.first, r.next, r.done, r.told, r.asked, r.askedNext = first, first, first, first, first, first"},
	{678, "a sink opens streams for earlier incarnations", "stream/receiver.go",
		"\t\treturn false\n\t}\n\tr.restart(", "\t}\n\tr.restart("},
	{liarsFrom + 610, "a sink does not deny what it does not know", "stream/receiver.go",
		"\tif r.OutsideWindow(seq) {\n\t\treturn Stale\n\t}\n", ""},
	{1, "nothing is sent again", "stream/recovery.go",
		"\t\t\tout = append(out, f...)\n\t\t\tsent += len(f)", "\t\t\tsent += len(f)"},
	{1, "the next hop may lie behind the sink", "ring/ring.go",
		"<= d {\n\t\t\tlo += half", "<= d+d/8 {\n\t\t\tlo += half"},
	{1, "no such node, because the link to the successor is down", "ring/decide.go",
		"r.Successor == r.Self || Distance(r.Mask, r.Self, dst) < Distance(r.Mask, r.Self, r.Successor)", "len(r.Detours) == 0"},
	{120, "every node is always authoritative", "ring/decide.go", "if r.Authoritative {", "if true {"},
	{5, "no other successor than a dead one", "membership/nodeview.go", "\t\tif up(s) {\n\t\t\tbreak\n\t\t}", "\t\tbreak"},
	{5, "newcomers are announced to all members at once", "membership/advance.go", "if len(tables) == 0 { // there", "if true { // there"},
	{11, "newcomers are announced before the nodes before them know them", "membership/announce.go", "if m.acked >= m.successor && m.routable && stubsKnow {", "if stubsKnow {"},
	{liarsFrom + 43, "what came before is confirmed with what comes after", "membership/advance.go", "m.acked = epoch", "m.acked = m.sent"},
	{21, "the gone are not announced", "membership/authority.go", "\tif m.mayBeKnown() {\n\t\ta.unannouncedDead", "\tif false {\n\t\ta.unannouncedDead"},
	{13, "those that left are not announced", "membership/authority.go", "\tif m.mayBeKnown() {\n\t\ta.unannouncedLeft", "\tif false {\n\t\ta.unannouncedLeft"},
	{21, "a member that comes back is told nothing", "membership/admit.go", "\t\t\tm.needsManifest, a.dirty = true, true\n", ""},
	{14, "no time to come back to a new registry", "membership/recovery.go", "if now < a.recoveryEnd.at {", "if false {"},
	{3, "members come back to a new registry as strangers", "membership/admit.go", "\ta.lastInc = max(a.lastInc, r.Incarnation)\n", "\tr.Epoch = 0\n\ta.lastInc = max(a.lastInc, r.Incarnation)\n"},
	{3, "a new registry counts epochs from one", "membership/recovery.go", "a.epoch = max(a.epoch, r.Epoch)", "_ = r.Epoch"},
	{327, "newcomers are admitted while members may come back", "membership/admit.go", "\tif a.recovering {\n\t\t// A member", "\tif false {\n\t\t// A member"},
	{9, "a lost connection is a death", "membership/suspect.go", "until: within(now, a.timeout(m))", "until: within(now, a.timeout(m)/16)"},
	{523, "a registry that stood still blames its members", "membership/localhealth.go", "m.suspicion.until.putOff(by, stopped)", "_ = by"},
	{1, "no detours", "membership/unreachable.go", "if via == nil {", "if true {"},
	{14, "a pair that has healed stays unreachable", "membership/unreachable.go", "delete(a.pairs, p)\n\t\ta.detoursDirty = true", "a.detoursDirty = true"},
	{8, "entries that lag are never put right", "membership/advance.go", "if a.plans.Lag() > 0 && !a.dirty {", "if false {"},
	{liarsFrom + 170, "a newcomer whose connection breaks is left out", "membership/admit.go", "\t\t\tm.status = waiting\n\t\t\ta.batch = without(a.batch, m)\n\t\tcase active:", "\t\tcase active:"},
	{142, "a pair stays unreachable when the report that it healed is lost", "membership/admit.go", "\t\tmaps.DeleteFunc(a.pairs, func(p pair, _ *pairState) bool { return p.from == m.Ref() })\n", "\t\t_ = maps.DeleteFunc[map[pair]*pairState]\n"},
	{21, "pairs that no member tries any more stay unreachable", "membership/unreachable.go", "\t\tdelete(a.pairs, p)\n\t\treturn true", "\t\treturn false"},
	{1, "a manifest and an update of one epoch", "membership/plan.go", "\t\t\tm.needsManifest, used = false, true\n", "\t\t\tm.needsManifest, used = false, true\n\t\t\ta.sendTable(m, control.TypeUpdate, control.Update{Epoch: a.epoch, Members: int64(len(tables)), Entries: int64(len(m.hold))})\n"},
	{5, "entries may lag without bound", "ring/plan.go", "slack = offsets.slack(i)", "slack = offsets.slack(i) + len(members)"},
	{108, "a sink that leaves takes messages behind its cut", "stream/receiver.go", "\tcase r.cut && ahead < maxAhead:\n\t\treturn Beyond, false\n", ""},
	{liarsFrom + 11, "a farewell before all is handled", "stream/leave.go", "return r.cut && r.done == r.next", "return r.cut"},
	{liarsFrom + 4, "what was sent counts as not handled", "stream/leave.go", "\treturn s.nxt - s.una\n", "\treturn 0\n"},
	{11, "a source does not look where the cut is", "stream/leave.go", "\ts.forget(cut)\n\ts.received = cut\n", ""},
	{unreachableFrom + 1, "unreachable: reports of newcomers are forgotten before they are in tables", "membership/unreachable.go", "m.status == waiting || m.status == linking", "false"},
	{683, "unreachable: the dead stand in front of those behind them", "membership/unreachable.go", " && a.find(s) != nil {", " {"},
	{unreachableFrom + 9, "unreachable: a node reports once what it cannot reach", "membership/complaints.go", "made && at == epoch", "made && at <= epoch"},
	{14, "unreachable: no report is taken back", "membership/complaints.go", "return made || c.forgotten", "return false && made"},
	{clocksFrom + 3, "clocks: a sink says nothing to an earlier incarnation", "stream/receiver.go", "if peerIncarnation >= r.peerIncarnation {", "if true {"},
	{clocksFrom + 227, "clocks: a registry does not count on from the incarnations that members know of", "membership/incarnations.go", "if r.Seen <= control.MaxIncarnation {", "if r.Seen > control.MaxIncarnation {"},
	{clocksFrom + 278, "clocks: incarnations are counted on by one", "membership/incarnations.go", "a.lastInc + 1 + a.Draw(maxIncStep)", "a.lastInc + 1"},
	{movingFrom + 40, "other members do not hear of a new address", "membership/plan.go", "a.planMoves(tables, told)", "clear(a.moved)"},
	{movingFrom + 53, "a member that moves keeps its old address", "ring/moved.go", "\tm.releaseAddr(m.sorted[i])\n", ""},
	{fewestFrom + 10, "offsets that the ring has become too small for", "ring/offsets.go", "l.Offsets[len(l.Offsets)-1] >= n", "false"},
	{starvedFrom + 41, "time in which the registry did not run counts as silence", "membership/localhealth.go", "patience-(silent-missed.All)", "patience-silent"},
	{ringsFrom + 5, "rings: no grace at the start of a ring that sets itself up", "membership/identity.go", "case a.GraceFirst || a.SelfSetup != nil:", "case a.GraceFirst:"},
	{ringsFrom + 1, "rings: members of other rings are taken in", "membership/identity.go", "if r.Identity == \"\" || a.identity == \"\"", "if true || a.identity == \"\""},
	{ringsFrom + 1, "rings: a registry that recovers takes in all", "membership/identity.go", "if r.Identity == \"\" || a.identity == \"\"", "if r.Identity == \"\" || a.recovering"},
	{ringsFrom + 4, "rings: a ring has no identity until a member brings one", "membership/identity.go", "\tif !a.recovering {\n\t\ta.settleIdentity()", "\tif false {\n\t\ta.settleIdentity()"},
	{ringsFrom, "rings: a registry draws an identity, and does not adopt one", "membership/identity.go", "cmp.Or(a.identity, id)", "cmp.Or(a.identity, a.drawIdentity())"},
	{ringsFrom + 28, "rings: a ring is never given up", "membership/identity.go", "return f.counted >= ForsakeLeases*lease", "return false"},
	{ringsFrom + 1, "rings: a ring is given up at once", "membership/identity.go", "return f.counted >= ForsakeLeases*lease", "return f.counted >= lease"},
	{ringsFrom + 19, "rings: no grace for the members of a state", "membership/identity.go", "\t\ta.expected = true\n\t\ta.Recover(now)", "\t\ta.expected = true"},
	{ringsFrom + 1, "rings: members keep no identity", "membership/messages.go", "Identity: string(a.identity), ", ""},
	{liarsFrom, "liars: routes lead through stubs", "membership/plan.go", " && m.stub == nil {", " {"},
	{liarsFrom, "liars: no last hop keeps a link to a stub", "membership/nodeview.go", "slices.Concat(keep, l.Hold, l.Stubs)", "slices.Concat(keep, l.Hold)"},
	{liarsFrom, "liars: no such node, since it is a stub", "ring/decide.go", "if slices.Contains(r.Stubs, dst) {", "if false {"},
	{liarsFrom, "liars: members are not told of new stubs behind them", "membership/stubs.go", "u.NewStubs, u.Stubs = true, m.lastHops", "_ = u"},
	{liarsFrom + 1, "liars: a stub keeps the table of its first day", "membership/stubs.go", "if s.told && slices.Equal", "if s.told || slices.Equal"},
	{secureFrom + 5, "secure: an expelled node's admission is good", "secure/trust.go", "[a.Key]; revoked {", "[a.Key]; revoked && false {"},
	{secureFrom + 2, "secure: an admission is good for ever", "secure/trust.go", "if !now.IsZero() && !now.Before(a.Until) {", "if false {"},
	{secureFrom + 3, "secure: only the latest key is believed", "secure/trust.go", "if !slices.ContainsFunc(t.Keys, func(k Key) bool { return signed(b, k) }) {", "if len(t.Keys) == 0 || !signed(b, t.Keys[len(t.Keys)-1]) {"},
	{secureFrom + 2, "secure: any key may follow that of the ring", "secure/trust.go", "if !slices.Contains(t.Keys, s.Old) && (", "if false && ("},
	{secureFrom + 5, "secure: ends need no signature of the ring", "secure/trust.go", "return slices.ContainsFunc(t.Keys, func(k Key) bool { return ed25519.Verify(k[:], b, signature) })", "return len(b) > 0 || ed25519.Verify(nil, b, signature)"},
	{secureFrom + 5, "secure: a member that is expelled stays", "membership/authority.go", "\tif m := a.find(ref); m != nil {\n\t\ta.markDead(now, m, why)", "\tif m := a.find(ref); m == nil {\n\t\ta.markDead(now, m, why)"},
	{secureFrom + 16, "secure: members keep no signatures of ends", "membership/nodeview.go", "\t\t\tover.Signature = signatures[i]\n", "\t\t\t_ = signatures[i]\n"},
	{namesFrom, "names: a newcomer may have the name of a member", "membership/names.go", "\tholder := a.namesake(r)\n", "\tholder := (*member)(nil)\n"},
	{namesFrom + 31, "names: of two that come back with one name both stay", "membership/admit.go", "namesake := a.namesake(r)\n", "namesake := (*member)(nil)\n"},
	{namesFrom + 7, "names: a name is never free again", "membership/authority.go", "\t\tdelete(a.byName, name)\n", ""},
	{namesFrom + 6, "names: members come back without what they say", "membership/admit.go", "back := &member{Member: m, token: r.Token, info: r.Info,", "back := &member{Member: m, token: r.Token,"},
	{namesFrom + 159, "lists: a manifest lacks members whose end is not announced", "membership/messages.go", "known = append(known, a.listed...)", "_ = a.listed"},
	{namesFrom + 6, "lists: a new registry counts lists from one", "membership/recovery.go", "a.resumeListEpoch(now)", "a.announcedCount, a.listClaims = len(a.tableMembers()), nil"},
	{liarsFrom + 16, "lists: a list that has missed a manifest keeps its epoch", "membership/services.go", "if !l.versioned || epoch != l.ListEpoch+1 {", "if false {"},
	{634, "lists: a newcomer with the ID of one that is gone", "membership/announce.go", " || slices.ContainsFunc(a.listed, func(m *member) bool { return a.byID[m.ID] != nil }) {", " {"},
	{namesFrom, "services: ends are not told", "membership/services.go", "at(s).gone = append(at(s).gone, m.Ref())", "_ = at(s)"},
	{namesFrom + 159, "services: those whose end is not announced are not told", "membership/services.go", "\t\tfor _, o := range a.listed {", "\t\tfor _, o := range a.listed[:0] {"},
	{namesFrom + 106, "services: what was told before a manifest counts on", "membership/nodeview.go", "next.applyHandlers(nil)", "next.applyHandlers(l.services)"},
	{leavesFrom + 2, "leaves: a leaver does not wait until the others have confirmed", "membership/unlist.go", " && confirmed < m.unlistedAt", " && false"},
	{leavesFrom + 2, "leaves: a manifest has those about to leave as members that serve", "membership/messages.go", "if o.unlistedAt > 0 {", "if false {"},
	{leavesFrom + 26, "leaves: lists of services keep those about to leave", "membership/services.go", "slices.Concat(ended, leaving)", "ended"},
	{leavesFrom + 76, "leaves: the list of an earlier registry is forgotten", "membership/unlist.go", "!m.hasList && m.resumedEpoch == 0", "!m.hasList"},
	{leavesFrom + 76, "leaves: a manifest goes out before an announcement that is due", "membership/announce.go", "len(a.unannouncedLeaving) > 0 || slices", "slices"},
	{1, "bundles: a sink takes a part", "stream/receiver.go", "\tcopy(r.inbox.Reserve(len(f)), f)\n",
		"\tif m := wire.Walk(f); f.Messages() > 1 && m.Next() {\n\t\tf = wire.Append(nil, wire.Header{Type: wire.Data, Port: f.Port(), Dst: f.Dst(), Src: f.Src(), Seq: f.Seq()}, m.Body)\n\t}\n\tcopy(r.inbox.Reserve(len(f)), f)\n"},
	{1, "bundles: a sink counts frames", "stream/receiver.go", "end := r.next + uint64(f.Messages())", "end := r.next + 1"},
	{liarsFrom + 5, "bundles: an acknowledgement names one message too many", "stream/receiver.go", "uint32(r.held[seq].Messages())", "uint32(r.held[seq].Messages()+1)"},
	{liarsFrom + 8, "bundles: the first number is forgotten after a part is acknowledged", "stream/bundling.go", "s.base += uint64(s.store.DiscardMessages(int(below - s.base)))", "s.store.DiscardMessages(int(below - s.base))\n\ts.base = below"},
	{liarsFrom + 5, "bundles: half of one is sent again", "stream/recovery.go", "out = append(out, f...)", "if m := wire.Walk(f); n > 1 && m.Next() {\n\t\t\t\tf = wire.Append(nil, wire.Header{Type: wire.Data, Port: f.Port(), Dst: f.Dst(), Src: f.Src(), Seq: f.Seq()}, m.Body)\n\t\t\t}\n\t\t\tout = append(out, f...)"},
	{523, "deadlines are not put off in a shortage", "membership/localhealth.go", "d.at = max(d.at, min(d.at+by, d.last))", "_ = by"},
}

// TestNamedSeeds runs the worlds of the controls without their bugs. With the race detector it runs
// some of them, as [raceRuns] says.
func TestNamedSeeds(t *testing.T) {
	for i, c := range controls {
		if raceEnabled && i%8 > 0 {
			continue
		}
		if err := newWorld(c.seed).run(); err != nil {
			t.Errorf("%s: -seed %d: %v", c.name, c.seed, err)
		}
	}
}

// TestControls plants the bugs. It builds the package once for each, so it runs only with
// -controls.
func TestControls(t *testing.T) {
	if !*simControls {
		t.Skip("-controls runs it")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each builds and links, mostly on one processor
			overlay := plant.Overlay(t, filepath.Join(root, c.file), c.old, c.new)
			simulate := func(args ...string) (string, error) {
				args = append([]string{"test", "-overlay", overlay, "-vet=off", "-timeout", "5m", "-run", "Simulation", "."}, args...)
				out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
				return string(out), err
			}
			out, err := simulate("-seed", fmt.Sprint(c.seed))
			if err == nil { // the worlds have changed since the seed was chosen
				if out, err = simulate("-first"); err != nil {
					t.Errorf("seed %d does not show it any more; choose another one:", c.seed)
				}
			}
			found := strings.Index(out, "-seed ")
			switch {
			case err == nil:
				t.Errorf("the simulation does not notice")
			case found < 0:
				t.Errorf("something else failed: %s", out)
			default:
				line, _, _ := strings.Cut(out[found:], "\n")
				t.Logf("%.400s", line)
			}
		})
	}
}

// TestControlsOfPackages plants bugs that the tests of their package must find. They are in
// the data plane, which the simulation replaces by its own nodes, or a hundred thousand
// worlds may not show them.
func TestControlsOfPackages(t *testing.T) {
	if !*simControls {
		t.Skip("-controls runs it")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, old, new, tests string }{
		{"services: those who ask later are not told", "membership/services.go", "\t\tif !slices.Contains(before, s) {\n", "\t\tif slices.Contains(before, s) {\n", "ServicesOfALargeRing"},
		{"services: what is asked for before there is a list is forgotten", "membership/services.go", "m.owedServices = a.listEpoch == 0; m.owedServices {", "m.owedServices = false; a.listEpoch == 0 {", "ServicesOfALargeRing"},
		{"services: a member that comes back has asked for what it had", "membership/admit.go", "\t\ta.setFollows(m, r.Follows)\n", "", "ServicesOfALargeRing"},
		{"services: the answer waits for the next list", "membership/nodelists.go", "if l.versioned && a.ListEpoch > 0 && a.ListEpoch == l.ListEpoch {", "if false {", "ServicesOfALargeRing"},
		{"a member declared dead comes back to the same registry while it recovers", "membership/authority.go", "if a.recovering { // it may", "if false { // it may", "DeathInARecovery"},
		{"an outage counts against a ring", "membership/identity.go", "min(now-f.last, maxForsakeGap*lease)", "now - f.last", "Forsaking"},
		{"the state counts while another is written", "membership/identity.go", "a.saved.Empty = a.saved.Empty || r.Empty", "_ = r.Empty", "State"},
		{"a state with members and none back: no second grace", "membership/recovery.go", "if a.expected && !a.secondGrace {", "if false {", "State"},
		{"the first member in the second grace comes alone", "membership/recovery.go", "if a.secondGrace { // the", "if false { // the", "State"},
		{"newcomers are not told of stubs behind them", "membership/advance.go", "m.introView, m.lastHops = view, lastHops[m.ID]", "m.introView, m.lastHops = view, lastHops[^uint64(0)]", "Stub"},
		{"a manifest to a stub alone has the epoch of the next", "membership/plan.go", "m.needsManifest, used = false, true", "m.needsManifest = false", "Stub"},
		{"one source suffices to name a relay", "membership/trials.go", "minSources = 2", "minSources = 1", "Lying"},
		{"one end has any number led around", "membership/trials.go", "|| a.boundByWitness(witness) ||", "||", "Lying"},
		{"streams that go on by themselves speak for no relay", "membership/trials.go", "s.healed*maxHealed > len(s.pairs) || ", "", "ByThemselves"},
		{"no fault explains a stream that stands still", "membership/trials.go", "if a.faultless(now, p, x, m) {", "if true {", "Faults"},
		{"the word of the accused counts as a fault", "membership/trials.go", " && m.record.troubledBy != accused.Ref()", "", "Faults"},
		{"other relays that fit do not count", "membership/trials.go", "if len(s.blame) == 0 && len(sources)", "if len(sources)", "FitAlike"},
		{"a trial that heals nothing proves it", "membership/trials.go", "if minHealed*healed <= healed+stuck {", "if false {", "HelpNothing"},
		{"a relay is tried again at once", "membership/trials.go", " || now < m.record.spared {", " {", "HelpNothing"},
		{"a liar relays again as soon as ever", "membership/trials.go", "leases*a.Lease<<min(m.record.convicted-1, maxDoubling)", "leases*a.Lease", "Released"},
		{"a hung sink blames a relay", "membership/trials.go", "if present == absent {", "if false {", "Hangs"},
		{"stubs without bound", "membership/stubs.go", "return max(1, members/8)", "return members - 1", "Eighth"},
		{"reports without bound", "membership/accusations.go", "return n < maxReports && len(a.stuck) < maxStuck", "return true", "Bounded"},
		{"a state that was not written counts", "membership/identity.go", "if a.saveErr = err; err == nil {", "if a.saveErr = err; true {", "State"},
		{"an earlier table confirms the list of a manifest", "membership/advance.go", "m.hasList && epoch >= m.manifestEpoch", "m.hasList", "ManifestConfirms"},
		{"a newcomer about to leave is listed", "membership/nodelists.go", "l.Listed, l.Leaves = false, true", "l.Leaves = true", "Unlist"},
		{"those about to leave are told as ended of an unknown cause", "membership/follower.go", "how = shown.MemberLeft", "", "ViewOfLeavers"},
		{"leavers do not wait for newcomers", "membership/announce.go", "held := len(a.batch) > 0", "held := false", "Leavers"},
		{"what a dead link held is not sent another way", "plane/receive.go", "p.requeue(l, &left)", "left.Clear()", "Requeue"},
		{"frames go on behind their sink", "ring/decide.go", "case !detour && r.overshoots(from, dst)", "case false && r.overshoots(from, dst)", "Relay"},
		{"a paused node goes on at once", "plane/deliver.go", "\t\tp.awaitFence(ctx)\n", "", "Fence"},
		{"a dead node is listened to", "peers/set.go", "\t\ts.endConn(c, why)\n", "\t\t_, _ = c, why\n", "Incarnation"},
		{"a stream from a node that left stays", "plane/inbound.go", "(closeIdle || in.sourceLeft)", "closeIdle", "Left"},
		{"a stream from a node that left counts", "plane/trial.go", "in.proven && !in.sourceLeft &&", "in.proven &&", "Left"},
		{"a stream from a node that left keeps its place", "plane/open.go", "!p.makeRoom(bygone)", "true || p.makeRoom(bygone)", "Left"},
		{"a stream from a node that left goes with messages", "plane/bygone.go", "in.sourceLeft && in.idle()", "in.sourceLeft", "Left"},
		{"a stream from a node that left is cut off", "plane/inbound.go", "in.idleSweeps > 1 && in.idle()", "in.idleSweeps > 0 && in.idle()", "Left"},
		{"an Open of an incarnation that left makes a stream that stays", "plane/open.go", "if p.HasEnded != nil && p.HasEnded(f.Src(), b.Incarnation)", "if false", "Left"},
		{"the next incarnation of a node that left does not count", "plane/open.go", "\t\t\tp.stays(in)\n", "", "Left"},
		{"a new incarnation leaves the stream of the one before", "plane/evict.go", "\t\t\tp.evictInbound(in, inc-1)\n", "", "Renewed"},
		{"what the callback was told is told again", "undelivered/told.go", "return e.forCallback && e.seq <= since", "return false", "Told"},
		{"a flush does not return what the callback is told meanwhile", "undelivered/told.go", "x.called = e.seq; x.flushes == 0", "x.called = e.seq; true", "Flush"},
		{"what a flush did not return stays", "undelivered/told.go", "x.flushes == 0 && x.called > 0", "false", "Flush"},
		{"a callback that panicked was told", "undelivered/told.go", "case !told:", "case false:", "Fails"},
		{"one of several that panicked takes the others with it", "undelivered/told.go", "if kept.from == kept.seq {", "if true {", "Fails"},
		{"one of several that was told is told again", "undelivered/told.go", "x.flushes == 0 && kept.seq > e.seq", "false", "ToldOfMany"},
		{"losses of many sinks are kept without bound", "undelivered/ledger.go", "x.entries >= maxEntries || ", "", "Bounded"},
		{"calls wait without bound", "undelivered/ledger.go", " && len(x.calls) < maxCalls", "", "Bounded"},
		{"what is beyond the bound vanishes", "undelivered/ledger.go", "\t\tlast.Messages += e.Messages\n", "", "Bounded"},
		{"the end of one direction is that of the other", "peers/conn.go", "done, out := c.sendState != dirOpen, c.out", "done, out := true, c.out", "HalfEnds"},
		{"a farewell is said once", "plane/part.go", "\t\t\tp.sendFarewells()\n", "", "Farewell|PartEnds"},
		{"a node that has left sends on", "plane/send.go", "\t\tif p.sendingStopped.Load() {", "\t\tif false {", "Part"},
		{"a reader waits for a handler that blocks", "workers/watchdog.go", "(MaxHold)\n\t\t\tp.handOver(c)", "(MaxHold)", "HandlerThatWaits"},
		{"a reader waits with its handler", "workers/lender.go", "\t\tp.mu.Lock()\n\t\tp.handOver(c)", "\t\tp.mu.Lock()", "GivesWay"},
		{"a reader waits with its handler in this package", "plane/send.go", "\tworkers.GiveWay(ctx)\n\treturn notify", "\treturn notify", "HandlerThatWaits"},
		{"readers call more handlers at once than may run", "workers/lender.go", " || g.running >= p.Limit", "", "Limit"},
		{"a handler that blocks costs its time only", "workers/budget.go", "if took >= MaxHold {", "if false {", "HandlerThatWaits"},
		{"the watchdog ends during an inline call", "workers/watchdog.go", "len(p.calls) > 0 || ", "", "WatchEnds"},
		{"the end of an old incarnation takes the new one off the lists", "ring/list.go", "ok && known.Incarnation <= r.Incarnation", "ok && known.Incarnation+r.Incarnation > 0", "List"},
		{"rings: time counts after the node's own registry was there", "membership/identity.go", "{ *f = Forsaking{} }", "{ f.last = 0 }", "Forsaking"},
		{"rings: the first member does not wait for the state", "membership/identity.go", "if a.unsaved() {\n\t\ta.filling", "if false {\n\t\ta.filling", "State"},
		{"services: one waits for the handlers of another", "plane/open.go", "\tin.turn.Group = &s.group\n", "", "DoNotWait"},
		{"services: one takes the room of another", "plane/buffer.go", "p.overflow.Add(int64(more))", "_ = more", "Reserved"},
		{"services: one waits for the turns of another", "workers/pool.go", "\tif t.Group != nil {\n\t\treturn t.Group\n\t}\n", "", "Groups"},
		{"services: answers have no port", "plane/receive.go", "Port: wire.StreamPort(f.Port()), ", "", "ServicesByName"},
		{"services: a port stays with its first service", "plane/open.go", "\t\tcase other != nil:\n", "\t\tcase other != nil && false:\n", "LaterIncarnation"},
		{"services: what has no handler is opened", "plane/services.go", "s.Handled && s.Name == name", "s.Name == name", "UnknownService"},
		{"services: an Open takes any port", "wire/body.go", "named != (len(b) > 8)", "named && len(b) == 8", "OpenOfAService"},
		{"services: losses are added up", "undelivered/ledger.go", "last.Service != e.Service || ", "", "AddedUp"},
		{"bundles: lengths that do not add up", "wire/bundle.go", "return n > 0 && len(rest) == 0", "return n > 0", "Unsound"},
		{"bundles: one that is acknowledged in part is freed", "fifo/fifo.go", "\t\tif m > n-discarded {", "\t\tif discarded >= n {", "Discard"},
		{"bundles: one grows after it has left", "stream/sender.go", "\ts.bundling.end()\n\ts.store.Copy", "\ts.store.Copy", "Frame"},
		{"bundles: what is sent again is counted by frames", "stream/recovery.go", "\t\t\tif arrived {\n\t\t\t\tseq = end", "\t\t\tif arrived {\n\t\t\t\tseq++", "Bundles|WithinABundle"},
		{"bundles: what is sent again is counted from what is delivered", "stream/recovery.go", "seq, sent, next, halved := s.base", "seq, sent, next, halved := s.una", "Bundles|WithinABundle"},
		{"bundles: messages of two ports share a frame", "stream/bundling.go", " || port != b.port", "", "Frame"},
		{"bundles: a question is about a part", "stream/sender.go", "\ts.bundling.end() // a question is about whole frames\n", "", "Frame"},
		{"bundles: what is pending begins with the frame", "stream/end.go", "known := s.una - s.base", "known := s.una - s.una", "Unacknowledged"},
		{"bundles: ranges of an acknowledgement count frames", "stream/receiver.go", "uint32(r.held[seq].Messages())", "uint32(1)", "Bundles"},
		{"bundles: what overlaps stays", "stream/receiver.go", "\t\t\tr.unhold(seq, kept)\n\t\t}\n\t}\n\tr.next = end", "\t\t\t_ = kept\n\t\t}\n\t}\n\tr.next = end", "Overlap"},
		{"bundles: each acknowledgement walks to a far one", "stream/receiver.go", "if r.farthest-r.next > 8*uint64(len(r.held)) {", "if false {", "FarBundles"},
		{"bundles: relays count frames", "plane/receive.go", "\t\t\tl.relayed += int64(f.Messages())\n\t\t\tif !f.Detour()", "\t\t\tl.relayed++\n\t\t\tif !f.Detour()", "RelayedBundles"},
		{"bundles: waste counts frames", "plane/relays.go", "int64(relays*f.Messages())", "int64(relays)", "BundlesAtTheSink"},
		{"bundles: sinks that take none get some", "plane/outbound.go", "\tif !opened.Bundles() {\n\t\treturn 0\n\t}\n", "", "Rain/0$"},
		{"bundles: one is longer than the longest message", "plane/outbound.go", "return min(wire.MaxBundle, p.MaxPayload)", "return wire.MaxBundle", "Sizes"},
		{"bundles: a panic takes the rest along", "plane/deliver.go", "\t\t\t\tn, bytes = n+1, all-m.Left()\n", "\t\t\t\tn, bytes = n+1, all-m.Left()\n\t\t\t\t*m = wire.Walk(nil)\n", "Panic"},
		{"bundles: an answer waits for the rest", "plane/deliver.go", "!d.More && in != nil && in.askedProgress.Load()", "!d.More && in != nil && in.askedProgress.Load() && m.Left() == 0", "AskedWithin"},
		{"bundles: accounts take each message for a frame", "plane/outbound.go", "\to.bytes += n\n", "\to.bytes += wire.HeaderSize + len(body)\n", "Accounts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each builds and links, mostly on one processor
			overlay := plant.Overlay(t, filepath.Join(root, c.file), c.old, c.new)
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-vet=off", "-timeout", "1m", "-run", c.tests, "../"+filepath.Dir(c.file)).CombinedOutput()
			switch {
			case err == nil:
				t.Error("its tests do not notice")
			case !strings.Contains(string(out), "--- FAIL") && !strings.Contains(string(out), "test timed out"):
				t.Errorf("something else failed: %s", out)
			}
		})
	}
}
