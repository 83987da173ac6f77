ALTER TABLE `webauthn_credentials` ADD `backup_known` integer;--> statement-breakpoint
ALTER TABLE `webauthn_credentials` ADD `eligibility_changed` integer;