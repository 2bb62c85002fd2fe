package account

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/auth/identity"
)

// view is all accounts in memory, without their sealed parts.
type view struct {
	mu     sync.RWMutex
	names  map[string]held
	links  map[identity.Link]string // to a user name
	tokens map[string]string        // hash to a user name
}

type held struct {
	account Account
	uid     types.UID
	version int64
}

func newView() *view {
	return &view{names: map[string]held{}, links: map[identity.Link]string{}, tokens: map[string]string{}}
}

func (v *view) len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.names)
}

func (v *view) byName(name string) (Account, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h, ok := v.names[name]
	return h.account, ok
}

// groups returns the members of each group, in no order.
func (v *view) groups() map[string][]string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	all := map[string][]string{}
	for name, h := range v.names {
		if h.account.Disabled {
			continue
		}
		for _, group := range h.account.Groups {
			all[group] = append(all[group], name)
		}
	}
	return all
}

func (v *view) byLink(l identity.Link) (Account, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	name, ok := v.links[l]
	return v.names[name].account, ok
}

// byProviderSession looks at all accounts: providers that log out by session alone are rare.
func (v *view) byProviderSession(provider, sid string) (Account, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, h := range v.names {
		for _, s := range h.account.Sessions {
			if s.Provider == provider && s.ProviderSID == sid {
				return h.account, true
			}
		}
	}
	return Account{}, false
}

func (v *view) byToken(hash string) (Account, Token, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	name, ok := v.tokens[hash]
	if !ok {
		return Account{}, Token{}, false
	}
	a := v.names[name].account
	for _, t := range a.Tokens {
		if t.Hash == hash {
			return a, t, true
		}
	}
	return Account{}, Token{}, false
}

// set takes in an account as it was written under uid. Events arrive late: an older
// version of the same object is ignored.
func (v *view) set(uid types.UID, s stored) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.names[s.Name]; ok && old.uid == uid && s.Version < old.version {
		return
	}
	v.put(uid, s)
}

// put must be called with mu held.
func (v *view) put(uid types.UID, s stored) {
	v.drop(s.Name)
	a := compact(s.Account)
	v.names[a.Name] = held{a, uid, s.Version}
	for _, l := range a.Links {
		v.links[l] = a.Name
	}
	for _, t := range a.Tokens {
		v.tokens[t.Hash] = a.Name
	}
}

// drop must be called with mu held.
func (v *view) drop(name string) {
	old := v.names[name].account
	for _, l := range old.Links {
		if v.links[l] == name {
			delete(v.links, l)
		}
	}
	for _, t := range old.Tokens {
		if v.tokens[t.Hash] == name {
			delete(v.tokens, t.Hash)
		}
	}
	delete(v.names, name)
}

// replace takes in a complete list. exists says whether the object of a user name is in
// it: one that is there but cannot be read keeps its last known state.
func (v *view) replace(all []entry, exists func(name string) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.names {
		if !exists(name) {
			v.drop(name)
		}
	}
	for _, e := range all {
		if old, ok := v.names[e.Name]; ok && old.uid == e.uid && e.Version < old.version {
			continue
		}
		v.put(e.uid, e.stored)
	}
}

// removeWhere forgets the accounts whose name matches.
func (v *view) removeWhere(match func(name string) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.names {
		if match(name) {
			v.drop(name)
		}
	}
}

// entry is an account as an object held it.
type entry struct {
	stored
	uid types.UID
}

// compact leaves out what must not or need not be in memory.
func compact(a Account) Account {
	a.Refresh, a.Trail = "", nil
	sessions := make([]Session, len(a.Sessions))
	for i, s := range a.Sessions {
		s.IDTokenHint, s.Refresh = "", ""
		sessions[i] = s
	}
	a.Sessions = sessions
	return a
}
