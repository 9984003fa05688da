//! Deployments: the catalog, aliases, promotion and rollback.
