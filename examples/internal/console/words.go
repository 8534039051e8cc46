package console

import "strings"

// words replaces the library's names by the flags and commands of the programs. Texts that
// come from nodes and registries of other programs use the library's names too.
var words = strings.NewReplacer(
	"ringdht: ", "",
	"WithBits, or -bits", "-bits",
	"WithAdvertise", "-advertise",
	"WithBits", "-bits",
	"WithCodec", "-codec",
	"WithGrace", "-grace",
	"WithID", "-id",
	"WithName", "-name",
	"WithTags", "-tag",
	"WithLease", "-lease",
	"WithListen", "-listen",
	"WithMaxPayload", "-max-payload",
	"WithRing", "-ring",
	"WithSecurity (-secure)", "-secure",
	"(WithSecurity, -secure)", "(-secure)",
	"WithSecurity: ", "-validity: ",
	"WithSecurity", "-secure",
	"WithSelfSetup", "-setup",
	"WithState", "-state",
	"WithHandshakeTimeout", "the handshake timeout", // no flag sets these
	"WithLimits", "the limits of memory",
	"WithLogger", "the logger",
	"WithTransport", "the transport",
	"Limits.HandlerBacklog", "the handler backlog",
	", or raise Limits.Streams there", "",
	" (WithTraffic)", "",
	"it has not joined a ring yet: call Join, or wait for it", "it has not joined a ring yet",
	"run Setup (setup-overlay)", "run setup-overlay",
	"call Setup again", "run setup-overlay again",
	"those that Members lists", "those that list-messaging-nodes lists",
)
