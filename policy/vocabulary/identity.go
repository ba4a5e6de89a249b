package vocabulary

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Role is what an identity may act as.
type Role string

// The roles. Those that connect hold a certificate of the operator's CA; the
// others only sign, with a key that is pinned or enrolled.
const (
	RoleOperator   Role = "operator"   // 运营机构
	RoleEnterprise Role = "enterprise" // 企业
	RoleReviewer   Role = "reviewer"   // 审查人
	RoleAuditor    Role = "auditor"    // 审计机关
	RoleProvider   Role = "provider"   // 数据提供部门
	RoleAuthoriser Role = "authoriser" // 授权主体
	RoleAuthority  Role = "authority"  // 发展改革会同数据管理部门
	RoleServer     Role = "server"     // the gateway
)

// Roles are all roles.
var Roles = []Role{
	RoleOperator, RoleEnterprise, RoleReviewer, RoleAuditor,
	RoleProvider, RoleAuthoriser, RoleAuthority, RoleServer,
}

// Connects says whether the role talks to a gateway and so needs a certificate.
func (r Role) Connects() bool {
	switch r {
	case RoleOperator, RoleEnterprise, RoleAuditor, RoleProvider, RoleServer:
		return true
	}
	return false
}

// Identity is who acts: a role and a name in it. An enterprise's is its credit
// code. It stands in certificates as the URI yingbi://role/id.
type Identity struct {
	Role Role
	ID   string
}

// ErrIdentity is what Validate's and ParseURI's errors are.
var ErrIdentity = errors.New("not a yingbi identity")

const scheme = "yingbi://"

// identityID is the ids of all roles but the enterprise's. Capitals serve
// those who name an operator or a department by its credit code.
var identityID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$`)

// URI is the identity's URI. It is an identity's only spelling.
func (i Identity) URI() string { return scheme + string(i.Role) + "/" + i.ID }

// String is the URI.
func (i Identity) String() string { return i.URI() }

// Validate says whether the identity is one.
func (i Identity) Validate() error {
	if !slices.Contains(Roles, i.Role) {
		return fmt.Errorf("%w: role %s; expected %s", ErrIdentity, quote(string(i.Role)), list(roleNames()))
	}
	if i.Role == RoleEnterprise {
		if err := CheckCreditCode(i.ID); err != nil {
			return fmt.Errorf("%w: an enterprise's id is its unified social credit code: got %w", ErrIdentity, err)
		}
		return nil
	}
	if !identityID.MatchString(i.ID) {
		return fmt.Errorf("%w: id %s; expected letters, digits, dots and hyphens, at most 63", ErrIdentity, quote(i.ID))
	}
	return nil
}

// ParseURI reads an identity's URI, strictly: what it accepts, URI writes back
// byte for byte.
func ParseURI(s string) (Identity, error) {
	rest, ok := strings.CutPrefix(s, scheme)
	role, id, found := strings.Cut(rest, "/")
	if !ok || !found {
		return Identity{}, fmt.Errorf("%w: %s; expected %srole/id", ErrIdentity, quote(s), scheme)
	}
	identity := Identity{Role: Role(role), ID: id}
	if err := identity.Validate(); err != nil {
		return Identity{}, err
	}
	return identity, nil
}

func roleNames() []string {
	names := make([]string, len(Roles))
	for i, role := range Roles {
		names[i] = string(role)
	}
	return names
}
