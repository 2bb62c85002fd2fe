package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// Names of the sets that every table has.
const (
	Known = "known" // addresses of this node's pods
	Self  = "self"  // each of them with itself: no policy keeps a pod from itself
)

// Types of sets, as nft(8) names them.
const (
	addressSet = "ipv4_addr"
	pairSet    = "ipv4_addr . ipv4_addr"
	portSet    = "ipv4_addr . inet_proto . inet_service"
	verdictMap = "ipv4_addr : verdict"
)

// Direction is the one in which a pod's connections are judged.
type Direction string

// The directions, which also name the verdict maps and begin the names of chains.
const (
	Ingress Direction = "ingress"
	Egress  Direction = "egress"
)

// ends gives nft's words for the address of the pod that is judged, and of the other end.
func (d Direction) ends() (pod, peer string) {
	if d == Ingress {
		return "ip daddr", "ip saddr"
	}
	return "ip saddr", "ip daddr"
}

// Table is what the node's nftables table is to hold, besides its base chains.
type Table struct {
	Sets   map[string]Set
	Chains map[string]Chain
}

// Set is a set, or a verdict map.
type Set struct {
	Type     string
	Comment  string
	Elements map[string]string // key → chain to go to; "" in a set that is no map
}

// Map reports whether the set is a verdict map.
func (s Set) Map() bool { return s.Type == verdictMap }

// Chain is a list of rules for one direction.
type Chain struct {
	Direction Direction
	Rules     []Rule
}

// Texts are the chain's rules in nft(8)'s language.
func (c Chain) Texts() []string {
	texts := make([]string, len(c.Rules))
	for i, rule := range c.Rules {
		texts[i] = rule.Text(c.Direction)
	}
	return texts
}

// Rule does what Then says with a packet that all its other fields fit. Empty fields fit every packet.
type Rule struct {
	Pods     string // set with the pod that is judged
	Peers    string // set with the other end
	Block    Block  // has the other end
	Protocol string
	Ports    []Range // of the receiver
	Named    string  // set with the receiver's address, protocol and port
	Then     string  // Accept, Drop or the chain to jump to
}

// What a rule does.
const (
	Accept = "accept"
	Drop   = "drop"
)

// Block is a range of addresses without some ranges in it. The zero Block is every address.
type Block struct {
	Within netip.Prefix
	Except []netip.Prefix
}

// Range is some ports, both ends included.
type Range struct{ First, Last uint16 }

// Text is the rule in nft(8)'s language.
func (r Rule) Text(direction Direction) string {
	pod, peer := direction.ends()
	var words []string
	add := func(format string, values ...any) { words = append(words, fmt.Sprintf(format, values...)) }
	if r.Pods != "" {
		add("%s @%s", pod, r.Pods)
	}
	if r.Peers != "" {
		add("%s @%s", peer, r.Peers)
	}
	if r.Block.Within.IsValid() && r.Block.Within.Bits() > 0 { // nft refuses a prefix of no bits
		add("%s %s", peer, r.Block.Within)
	}
	if len(r.Block.Except) > 0 {
		add("%s != %s", peer, braces(r.Block.Except))
	}
	switch {
	case r.Named != "":
		add("ip daddr . meta l4proto . th dport @%s", r.Named)
	case len(r.Ports) > 0:
		add("%s dport %s", r.Protocol, braces(r.Ports))
	case r.Protocol != "":
		add("meta l4proto %s", r.Protocol)
	}
	if r.Then == Accept || r.Then == Drop {
		add("%s", r.Then)
	} else {
		add("jump %s", r.Then)
	}
	return strings.Join(words, " ")
}

// String is the range in nft(8)'s language.
func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

func braces[T fmt.Stringer](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = value.String()
	}
	return "{ " + strings.Join(texts, ", ") + " }"
}

// longestName bounds the readable part of a name; nft allows 256 bytes.
const longestName = 80

// nameOf makes a name for nft: readable, and different for different texts. Whatever a text has in it, the name is one word of nft's language.
func nameOf(prefix, text string) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, text)
	return prefix + "-" + readable[:min(len(readable), longestName)] + "-" + digest(text)
}

// digest is long enough that a tenant finds no second text with the same: two policies that shared a name would share rules.
func digest(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:16])
}

// longestComment is nft's bound.
const longestComment = 128

// comment makes a text safe within nft's quotes.
func comment(text string) string {
	safe := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, text)
	return safe[:min(len(safe), longestComment)]
}
