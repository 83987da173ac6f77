CREATE TABLE "budgets" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"budget" text NOT NULL,
	"key" text NOT NULL,
	"slices" json NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "budgets_tenant_id_user_id_budget_key_pk" PRIMARY KEY("tenant_id","user_id","budget","key")
);
--> statement-breakpoint
CREATE TABLE "tickets" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"digest" "bytea" NOT NULL,
	"first_factor_time" timestamp (3) with time zone NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"spend_time" timestamp (3) with time zone,
	CONSTRAINT "tickets_tenant_id_user_id_digest_pk" PRIMARY KEY("tenant_id","user_id","digest")
);
--> statement-breakpoint
CREATE TABLE "audit_subjects" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"pseudonym" text NOT NULL,
	"key" "bytea" NOT NULL,
	CONSTRAINT "audit_subjects_tenant_id_user_id_pk" PRIMARY KEY("tenant_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "audit_heads" (
	"tenant_id" text PRIMARY KEY NOT NULL,
	"sequence" bigint NOT NULL,
	"hash" "bytea" NOT NULL,
	"mac" "bytea" NOT NULL,
	"floor_sequence" bigint NOT NULL,
	"floor_hash" "bytea" NOT NULL,
	"floor_mac" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_checkpoints" (
	"tenant_id" text NOT NULL,
	"sequence" bigint NOT NULL,
	"hash" "bytea" NOT NULL,
	"token" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "audit_checkpoints_tenant_id_sequence_pk" PRIMARY KEY("tenant_id","sequence")
);
--> statement-breakpoint
CREATE TABLE "event_streams" (
	"tenant_id" text PRIMARY KEY NOT NULL,
	"position" bigint NOT NULL,
	"floor" bigint NOT NULL,
	"floor_time" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "outbox_messages" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"message_id" text NOT NULL,
	"channel" text NOT NULL,
	"kind" text NOT NULL,
	"idempotency_key" text NOT NULL,
	"data" json NOT NULL,
	"sealed_content" "bytea",
	"state" text NOT NULL,
	"attempts" integer NOT NULL,
	"lease_id" text,
	"next_attempt_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"provider" text NOT NULL,
	"last_error" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "outbox_messages_tenant_id_message_id_pk" PRIMARY KEY("tenant_id","message_id")
);
--> statement-breakpoint
CREATE TABLE "otp_addresses" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"factor_id" text NOT NULL,
	"channel" text NOT NULL,
	"state" text NOT NULL,
	"sealed_address" "bytea" NOT NULL,
	"address_digest" "bytea" NOT NULL,
	"masked" text NOT NULL,
	"country" text NOT NULL,
	"block" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	"verify_time" timestamp (3) with time zone,
	"last_use_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone,
	CONSTRAINT "otp_addresses_tenant_id_user_id_factor_id_pk" PRIMARY KEY("tenant_id","user_id","factor_id")
);
--> statement-breakpoint
CREATE TABLE "otp_challenges" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"challenge_id" text NOT NULL,
	"channel" text NOT NULL,
	"factor_id" text NOT NULL,
	"purpose" text NOT NULL,
	"session_id" text NOT NULL,
	"code_digest" "bytea" NOT NULL,
	"message_id" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"code_time" timestamp (3) with time zone NOT NULL,
	"resend_after_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"spend_time" timestamp (3) with time zone,
	CONSTRAINT "otp_challenges_tenant_id_user_id_challenge_id_pk" PRIMARY KEY("tenant_id","user_id","challenge_id")
);
--> statement-breakpoint
CREATE TABLE "send_decisions" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"decision_id" text NOT NULL,
	"channel" text NOT NULL,
	"purpose" text NOT NULL,
	"decision" text NOT NULL,
	"reasons" json NOT NULL,
	"masked" text NOT NULL,
	"country" text NOT NULL,
	"ip" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "send_decisions_tenant_id_decision_id_pk" PRIMARY KEY("tenant_id","decision_id")
);
--> statement-breakpoint
CREATE TABLE "backup_code_sets" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"state" text NOT NULL,
	"set_id" text NOT NULL,
	"total" integer NOT NULL,
	"remaining" integer NOT NULL,
	"pepper_id" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"confirm_time" timestamp (3) with time zone,
	"last_use_time" timestamp (3) with time zone,
	"low_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone,
	CONSTRAINT "backup_code_sets_tenant_id_user_id_state_pk" PRIMARY KEY("tenant_id","user_id","state")
);
--> statement-breakpoint
CREATE TABLE "backup_codes" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"set_id" text NOT NULL,
	"code_id" text NOT NULL,
	"selector" text NOT NULL,
	"salt" "bytea" NOT NULL,
	"verifier" "bytea" NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"use_time" timestamp (3) with time zone,
	CONSTRAINT "backup_codes_tenant_id_user_id_code_id_pk" PRIMARY KEY("tenant_id","user_id","code_id")
);
--> statement-breakpoint
CREATE TABLE "temporary_passes" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"pass_id" text NOT NULL,
	"issuer_id" text NOT NULL,
	"selector" text NOT NULL,
	"salt" "bytea" NOT NULL,
	"verifier" "bytea" NOT NULL,
	"start_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"use_time" timestamp (3) with time zone,
	CONSTRAINT "temporary_passes_tenant_id_user_id_pk" PRIMARY KEY("tenant_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "challenges" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"challenge_id" text NOT NULL,
	"state" text NOT NULL,
	"purpose" text NOT NULL,
	"created_by" text NOT NULL,
	"session_digest" "bytea",
	"audience" text NOT NULL,
	"nonce" text NOT NULL,
	"action_type" text NOT NULL,
	"action_digest" "bytea",
	"rendered_action" text NOT NULL,
	"allowed_types" json NOT NULL,
	"strength" text NOT NULL,
	"requires_binding" boolean NOT NULL,
	"offers" json NOT NULL,
	"prepared_type" text NOT NULL,
	"prepared_factor_id" text NOT NULL,
	"proven_type" text NOT NULL,
	"proven_factor_id" text NOT NULL,
	"facts" json,
	"mfa_epoch" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"prove_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "challenges_tenant_id_user_id_challenge_id_pk" PRIMARY KEY("tenant_id","user_id","challenge_id")
);
--> statement-breakpoint
CREATE TABLE "webauthn_users" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"user_handle" "bytea" NOT NULL,
	"user_name" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "webauthn_users_tenant_id_user_id_pk" PRIMARY KEY("tenant_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "webauthn_credentials" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"credential_id" text NOT NULL,
	"webauthn_id" "bytea" NOT NULL,
	"rp_id" text NOT NULL,
	"public_key" "bytea" NOT NULL,
	"algorithm" integer NOT NULL,
	"row_mac" "bytea" NOT NULL,
	"counter" bigint NOT NULL,
	"user_verified" boolean NOT NULL,
	"backup_eligible" boolean NOT NULL,
	"backed_up" boolean NOT NULL,
	"transports" json NOT NULL,
	"attachment" text NOT NULL,
	"discoverable" boolean NOT NULL,
	"aaguid" text NOT NULL,
	"attested" boolean NOT NULL,
	"attestation_format" text NOT NULL,
	"clone_warning" boolean NOT NULL,
	"display_name" text NOT NULL,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	"last_use_time" timestamp (3) with time zone,
	CONSTRAINT "webauthn_credentials_tenant_id_user_id_credential_id_pk" PRIMARY KEY("tenant_id","user_id","credential_id")
);
--> statement-breakpoint
CREATE TABLE "webauthn_ceremonies" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"ceremony_id" text NOT NULL,
	"purpose" text NOT NULL,
	"challenge_digest" "bytea" NOT NULL,
	"session_digest" "bytea" NOT NULL,
	"challenge_id" text NOT NULL,
	"action_digest" "bytea",
	"rp_id" text NOT NULL,
	"user_verification" text NOT NULL,
	"discoverable" text NOT NULL,
	"attachment" text NOT NULL,
	"display_name" text NOT NULL,
	"user_name" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"spend_time" timestamp (3) with time zone,
	CONSTRAINT "webauthn_ceremonies_tenant_id_user_id_ceremony_id_pk" PRIMARY KEY("tenant_id","user_id","ceremony_id")
);
--> statement-breakpoint
CREATE TABLE "ip_whitelist" (
	"tenant_id" text NOT NULL,
	"entry_id" text NOT NULL,
	"cidr" text NOT NULL,
	"label" text NOT NULL,
	"enabled" boolean NOT NULL,
	"expire_time" timestamp (3) with time zone,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "ip_whitelist_tenant_id_entry_id_pk" PRIMARY KEY("tenant_id","entry_id")
);
--> statement-breakpoint
CREATE TABLE "assertions" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"assertion_id" text NOT NULL,
	"mfa_epoch" bigint NOT NULL,
	"prove_time" timestamp (3) with time zone NOT NULL,
	"consume_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "assertions_tenant_id_user_id_assertion_id_pk" PRIMARY KEY("tenant_id","user_id","assertion_id")
);
--> statement-breakpoint
CREATE TABLE "assertion_keys" (
	"sequence" integer NOT NULL,
	"key_id" text NOT NULL,
	"algorithm" text NOT NULL,
	"public_key" json NOT NULL,
	"sealed_private_key" "bytea" NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"use_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "assertion_keys_sequence_pk" PRIMARY KEY("sequence")
);
--> statement-breakpoint
CREATE TABLE "trusted_devices" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"trusted_device_id" text NOT NULL,
	"series_digest" "bytea" NOT NULL,
	"counter" bigint NOT NULL,
	"secret_digest" "bytea" NOT NULL,
	"previous_digest" "bytea",
	"rotate_time" timestamp (3) with time zone NOT NULL,
	"display_name" text NOT NULL,
	"user_agent" text NOT NULL,
	"ip" text NOT NULL,
	"application" text NOT NULL,
	"mfa_epoch" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"last_use_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "trusted_devices_tenant_id_user_id_trusted_device_id_pk" PRIMARY KEY("tenant_id","user_id","trusted_device_id")
);
--> statement-breakpoint
CREATE TABLE "synced_devices" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"synced_device_id" text NOT NULL,
	"display_name" text NOT NULL,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "synced_devices_tenant_id_user_id_synced_device_id_pk" PRIMARY KEY("tenant_id","user_id","synced_device_id")
);
--> statement-breakpoint
CREATE TABLE "synced_blobs" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"synced_device_id" text NOT NULL,
	"version" bigint NOT NULL,
	"blob" "bytea" NOT NULL,
	"checksum" "bytea" NOT NULL,
	"size" integer NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "synced_blobs_tenant_id_user_id_synced_device_id_version_pk" PRIMARY KEY("tenant_id","user_id","synced_device_id","version")
);
--> statement-breakpoint
CREATE TABLE "webhook_endpoints" (
	"tenant_id" text NOT NULL,
	"endpoint_id" text NOT NULL,
	"url" text NOT NULL,
	"description" text NOT NULL,
	"types" json NOT NULL,
	"paused" boolean NOT NULL,
	"sealed_secret" "bytea" NOT NULL,
	"sealed_old_secret" "bytea",
	"old_secret_expire_time" timestamp (3) with time zone,
	"version" bigint NOT NULL,
	"position" bigint NOT NULL,
	"replays" integer NOT NULL,
	"lease_id" text,
	"next_attempt_time" timestamp (3) with time zone NOT NULL,
	"failures" integer NOT NULL,
	"last_error" text NOT NULL,
	"last_success_time" timestamp (3) with time zone,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "webhook_endpoints_tenant_id_endpoint_id_pk" PRIMARY KEY("tenant_id","endpoint_id")
);
--> statement-breakpoint
CREATE TABLE "push_devices" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"device_id" text NOT NULL,
	"display_name" text NOT NULL,
	"state" text NOT NULL,
	"channel" text NOT NULL,
	"channel_gone" boolean NOT NULL,
	"sealed_address" "bytea",
	"address_version" bigint NOT NULL,
	"key_algorithm" text NOT NULL,
	"public_key" "bytea",
	"key_mac" "bytea",
	"platform" text NOT NULL,
	"pairing_digest" "bytea",
	"session_digest" "bytea",
	"first" boolean NOT NULL,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	"last_use_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone,
	CONSTRAINT "push_devices_tenant_id_user_id_device_id_pk" PRIMARY KEY("tenant_id","user_id","device_id")
);
--> statement-breakpoint
CREATE TABLE "push_challenges" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"push_id" text NOT NULL,
	"row_id" text NOT NULL,
	"challenge_id" text NOT NULL,
	"device_id" text NOT NULL,
	"created_by" text NOT NULL,
	"session_digest" "bytea",
	"state" text NOT NULL,
	"nonce" "bytea" NOT NULL,
	"number_digest" "bytea",
	"number_length" integer NOT NULL,
	"context" json NOT NULL,
	"action_digest" "bytea",
	"attempts" integer NOT NULL,
	"wrong_numbers" integer NOT NULL,
	"deny_reason" text NOT NULL,
	"decided_device_id" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"decide_time" timestamp (3) with time zone,
	"answer_ms" integer,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "push_challenges_tenant_id_user_id_push_id_pk" PRIMARY KEY("tenant_id","user_id","push_id")
);
--> statement-breakpoint
CREATE TABLE "push_blocks" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"hour" timestamp (3) with time zone NOT NULL,
	"count" integer NOT NULL,
	CONSTRAINT "push_blocks_tenant_id_user_id_hour_pk" PRIMARY KEY("tenant_id","user_id","hour")
);
--> statement-breakpoint
CREATE TABLE "vapid_keys" (
	"tenant_id" text PRIMARY KEY NOT NULL,
	"public_key" "bytea" NOT NULL,
	"sealed_private_key" "bytea" NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "primary_factor_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "count_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "consecutive_failures" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "recent" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "lock_time" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "request_ids" ADD COLUMN "user_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "request_ids" ADD COLUMN "body_digest" "bytea";--> statement-breakpoint
ALTER TABLE "request_ids" ADD COLUMN "sealed_reply" "bytea";--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "sequence" bigint;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "hash" "bytea";--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "module" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "target_type" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "request_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "outcome" text DEFAULT 'SUCCESS' NOT NULL;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "ip" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "sealed_ip" "bytea";--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "position" bigint;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "ip" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "user_agent" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "application" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "actor_type" text DEFAULT 'UNSPECIFIED' NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "actor_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "mfa_epoch" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "drift_steps" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "drift_hint" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "replaces_device_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "version" bigint DEFAULT 1 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "tickets_digest" ON "tickets" USING btree ("digest");--> statement-breakpoint
CREATE UNIQUE INDEX "audit_subjects_by_pseudonym" ON "audit_subjects" USING btree ("tenant_id","pseudonym");--> statement-breakpoint
CREATE UNIQUE INDEX "outbox_messages_by_key" ON "outbox_messages" USING btree ("tenant_id","idempotency_key");--> statement-breakpoint
CREATE INDEX "outbox_messages_by_user" ON "outbox_messages" USING btree ("tenant_id","user_id","create_time");--> statement-breakpoint
CREATE INDEX "outbox_messages_due" ON "outbox_messages" USING btree ("state","channel","next_attempt_time");--> statement-breakpoint
CREATE INDEX "send_decisions_by_user" ON "send_decisions" USING btree ("tenant_id","user_id","create_time");--> statement-breakpoint
CREATE INDEX "send_decisions_by_time" ON "send_decisions" USING btree ("tenant_id","create_time");--> statement-breakpoint
CREATE INDEX "backup_code_sets_by_time" ON "backup_code_sets" USING btree ("tenant_id","create_time","set_id");--> statement-breakpoint
CREATE UNIQUE INDEX "backup_codes_by_selector" ON "backup_codes" USING btree ("tenant_id","user_id","set_id","selector");--> statement-breakpoint
CREATE UNIQUE INDEX "webauthn_credentials_by_webauthn_id" ON "webauthn_credentials" USING btree ("webauthn_id");--> statement-breakpoint
CREATE INDEX "webauthn_ceremonies_by_challenge" ON "webauthn_ceremonies" USING btree ("tenant_id","user_id","challenge_digest");--> statement-breakpoint
CREATE UNIQUE INDEX "ip_whitelist_by_cidr" ON "ip_whitelist" USING btree ("tenant_id","cidr");--> statement-breakpoint
CREATE UNIQUE INDEX "trusted_devices_by_series" ON "trusted_devices" USING btree ("tenant_id","user_id","series_digest");--> statement-breakpoint
CREATE INDEX "webhook_endpoints_due" ON "webhook_endpoints" USING btree ("paused","next_attempt_time");--> statement-breakpoint
CREATE UNIQUE INDEX "push_devices_by_id" ON "push_devices" USING btree ("device_id");--> statement-breakpoint
CREATE INDEX "push_devices_by_pairing" ON "push_devices" USING btree ("pairing_digest");--> statement-breakpoint
CREATE INDEX "push_challenges_by_user" ON "push_challenges" USING btree ("tenant_id","user_id","create_time","row_id");--> statement-breakpoint
CREATE INDEX "push_challenges_by_time" ON "push_challenges" USING btree ("tenant_id","create_time","row_id");--> statement-breakpoint
CREATE INDEX "push_challenges_by_challenge" ON "push_challenges" USING btree ("tenant_id","user_id","challenge_id");--> statement-breakpoint
CREATE INDEX "push_blocks_by_time" ON "push_blocks" USING btree ("tenant_id","hour");--> statement-breakpoint
CREATE INDEX "attempts_by_lock" ON "attempts" USING btree ("tenant_id","lock_expire_time") WHERE "attempts"."lock_expire_time" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "audit_entries_by_sequence" ON "audit_entries" USING btree ("tenant_id","sequence");--> statement-breakpoint
CREATE UNIQUE INDEX "events_by_position" ON "events" USING btree ("position","tenant_id");--> statement-breakpoint
CREATE INDEX "events_of_tenant" ON "events" USING btree ("tenant_id","position");